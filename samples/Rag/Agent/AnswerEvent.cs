using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>What happens while an answer is made.</summary>
internal abstract record AnswerEvent
{
    /// <summary>A search has ended: all that has been found for the question by now.</summary>
    internal sealed record Found(IReadOnlyList<SearchHit> Hits, IReadOnlyList<Source> Sources) : AnswerEvent;

    internal sealed record Thought(string Piece) : AnswerEvent;

    /// <summary>A piece of what the model says, before citations are checked.</summary>
    internal sealed record Text(string Piece) : AnswerEvent;

    /// <summary>The answer as it stands after all checks.</summary>
    internal sealed record Done(Answer Answer) : AnswerEvent;
}
