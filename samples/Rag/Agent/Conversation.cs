using Microsoft.Agents.AI;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>The turns of a chat. Not thread-safe: one question at a time uses it.</summary>
internal sealed class Conversation
{
    private readonly List<Turn> _turns = [];

    /// <summary>The questions, each standing alone, and their answers; oldest first.</summary>
    public IReadOnlyList<Turn> Turns => _turns;

    internal AgentSession? Session { get; set; }

    /// <summary>The sources that earlier turns were shown. The model may cite them again, so numbering continues from turn to
    /// turn.</summary>
    internal IReadOnlyList<Source> Sources { get; set; } = [];

    /// <summary>The generation of the documents that <see cref="Sources"/> come from.</summary>
    internal int Generation { get; set; }

    internal void Add(Turn turn) => _turns.Add(turn);

    /// <summary>Forgets what the model has read, for example because the documents have changed. The topic of the chat stays.</summary>
    internal void ForgetSources() => (Session, Sources) = (null, []);

    /// <summary>Starts the chat afresh.</summary>
    public void Clear()
    {
        ForgetSources();
        _turns.Clear();
    }
}

/// <param name="Question">The question, standing alone.</param>
/// <param name="Answer">The answer to it.</param>
internal sealed record Turn(string Question, string Answer);
