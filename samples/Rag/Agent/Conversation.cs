using Microsoft.Agents.AI;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>The turns of a chat; used by one question at a time.</summary>
internal sealed class Conversation
{
    private readonly List<Turn> _turns = [];

    /// <summary>What was asked, each question so that it stands alone, and what was answered; the oldest first.</summary>
    public IReadOnlyList<Turn> Turns => _turns;

    internal AgentSession? Session { get; set; }

    /// <summary>What earlier turns were shown; the model may cite it again, so numbers go on from turn to turn.</summary>
    internal IReadOnlyList<Source> Sources { get; set; } = [];

    /// <summary>The state of the documents that <see cref="Sources"/> are of.</summary>
    internal int Generation { get; set; }

    internal void Add(Turn turn) => _turns.Add(turn);

    /// <summary>Forgets what the model has read, for example because the documents say something else now. What the chat is about
    /// stays.</summary>
    internal void ForgetSources() => (Session, Sources) = (null, []);

    /// <summary>Begins anew.</summary>
    public void Clear()
    {
        ForgetSources();
        _turns.Clear();
    }
}

/// <param name="Question">The question, standing alone.</param>
/// <param name="Answer">What was answered.</param>
internal sealed record Turn(string Question, string Answer);
