namespace LocalLlm.Tokenizers;

/// <summary>What happens to the stretches that a pattern matches.</summary>
internal enum SplitBehavior
{
    /// <summary>A match is a piece of its own.</summary>
    Isolated,

    /// <summary>A match disappears.</summary>
    Removed,

    /// <summary>A match joins the piece before it.</summary>
    MergedWithPrevious,

    /// <summary>A match joins the piece after it.</summary>
    MergedWithNext,

    /// <summary>Matches next to each other are one piece.</summary>
    Contiguous,
}
