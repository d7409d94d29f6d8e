using Microsoft.Agents.AI;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>The turns of a chat; used by one question at a time.</summary>
internal sealed class Conversation
{
    internal AgentSession? Session { get; set; }

    /// <summary>What earlier turns were shown; the model may cite it again, so numbers go on from turn to turn.</summary>
    internal IReadOnlyList<Source> Sources { get; set; } = [];
}
