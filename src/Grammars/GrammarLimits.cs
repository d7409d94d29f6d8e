namespace LocalLlm.Grammars;

/// <summary>How large a grammar may become: a request's is not to be trusted.</summary>
public sealed record GrammarLimits
{
    /// <summary>The limits of requests.</summary>
    public static GrammarLimits Default { get; } = new();

    /// <summary>Nodes of the rules, some 40 bytes each.</summary>
    public int MaxNodes { get; init; } = 400_000;

    /// <summary>Readings of one text at once.</summary>
    public int MaxPlaces { get; init; } = 20_000;

    /// <summary>Rules open at once.</summary>
    public int MaxDepth { get; init; } = 256;

    /// <summary>Bytes that the states and masks of one grammar may take before they are forgotten and made again.</summary>
    public long MaxBytes { get; init; } = 32L << 20;

    /// <summary>Steps through the rules that the first state, the first mask, and those inside of strings may take; some 10 ns
    /// each.</summary>
    public long MaxWork { get; init; } = 6_000_000;

    /// <summary>Bytes that states and masks may take while a grammar is compiled.</summary>
    public long MaxCompileBytes { get; init; } = 16L << 20;

    /// <summary>Steps through the rules that a request may be ahead of <see cref="WorkPerToken"/>.</summary>
    public long MaxCredit { get; init; } = 50_000_000;

    /// <summary>Steps through the rules that every token of a request allows: what others wait for it on average.</summary>
    public long WorkPerToken { get; init; } = 125_000;

    /// <summary>Steps that a request without credit may still take to find some tokens that may come next, and to follow one.</summary>
    public long MinWork { get; init; } = 500_000;
}
