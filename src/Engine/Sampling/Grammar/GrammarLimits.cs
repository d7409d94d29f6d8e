namespace LocalLlm.Sampling.Grammar;

/// <summary>How large a grammar may become: a request's is not to be trusted.</summary>
internal sealed record GrammarLimits
{
    /// <summary>The limits of requests.</summary>
    public static GrammarLimits Default { get; } = new();

    /// <summary>Nodes of the rules.</summary>
    public int MaxNodes { get; init; } = 200_000;

    /// <summary>States, a KiB each.</summary>
    public int MaxStates { get; init; } = 20_000;

    /// <summary>Readings of one text.</summary>
    public int MaxPlaces { get; init; } = 20_000;

    /// <summary>Rules open at once.</summary>
    public int MaxDepth { get; init; } = 256;

    /// <summary>Ways in which rules are open.</summary>
    public int MaxStacks { get; init; } = 200_000;
}

/// <summary>A grammar is malformed, or too large.</summary>
internal sealed class GrammarException(string message) : Exception(message);
