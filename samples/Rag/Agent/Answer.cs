using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Agent;

internal enum AnswerState
{
    /// <summary>The answer comes from the documents and cites them.</summary>
    Answered,

    /// <summary>The documents have no answer.</summary>
    NotFound,

    /// <summary>The model answered without citing a source, and no source says the same.</summary>
    Unsupported,
}

internal sealed record Answer
{
    public required string Question { get; init; }

    /// <summary>The question as it was searched for, if a chat rewrote it; null: as it was typed.</summary>
    public string? Standalone { get; init; }

    /// <summary>The answer, with [n] after what a source says.</summary>
    public required string Text { get; init; }

    public required AnswerState State { get; init; }

    /// <summary>Numbers of the sources that the answer cites.</summary>
    public required IReadOnlyList<int> Cited { get; init; }

    /// <summary>What the reader should know: that citations were removed, that an answer was withheld.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    public IReadOnlyList<Source> Sources { get; init; } = [];

    /// <summary>All passages found, best first.</summary>
    public IReadOnlyList<SearchHit> Hits { get; init; } = [];

    public string Thought { get; init; } = "";
}
