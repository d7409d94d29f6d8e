using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>What happens while a question is answered.</summary>
internal abstract record AnswerEvent
{
    /// <summary>A search has ended: everything found for the question so far.</summary>
    internal sealed record Found(IReadOnlyList<SearchHit> Hits, IReadOnlyList<Source> Sources) : AnswerEvent;

    internal sealed record Thought(string Piece) : AnswerEvent;

    /// <summary>A piece of the model's text, before citations are checked.</summary>
    internal sealed record Text(string Piece) : AnswerEvent;

    /// <summary>The answer after all checks.</summary>
    internal sealed record Done(Answer Answer) : AnswerEvent;
}
