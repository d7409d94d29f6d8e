using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Agent;

internal enum AnswerState
{
    /// <summary>The documents say so, and the answer says where.</summary>
    Answered,

    /// <summary>The documents do not say.</summary>
    NotFound,

    /// <summary>The model said something, but named no source for it, and none says it.</summary>
    Unsupported,
}

internal sealed record Answer
{
    public required string Question { get; init; }

    /// <summary>The question as it was searched for, where a chat gave it more words; null: as it was asked.</summary>
    public string? Standalone { get; init; }

    /// <summary>With [n] behind what a source says.</summary>
    public required string Text { get; init; }

    public required AnswerState State { get; init; }

    /// <summary>Numbers of the sources that it cites.</summary>
    public required IReadOnlyList<int> Cited { get; init; }

    /// <summary>What the reader should know: citations that were taken out, an answer that was withheld.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    public IReadOnlyList<Source> Sources { get; init; } = [];

    /// <summary>All passages found, best first.</summary>
    public IReadOnlyList<SearchHit> Hits { get; init; } = [];

    public string Thought { get; init; } = "";
}
