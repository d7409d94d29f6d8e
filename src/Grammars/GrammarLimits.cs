namespace LocalLlm.Grammars;

/// <summary>How large a grammar may become. The grammar of a request is untrusted.</summary>
public sealed record GrammarLimits
{
    /// <summary>The limits for requests.</summary>
    public static GrammarLimits Default { get; } = new();

    /// <summary>Max number of nodes of the rules, some 40 bytes each.</summary>
    public int MaxNodes { get; init; } = 400_000;

    /// <summary>Max number of simultaneous readings of one text.</summary>
    public int MaxPlaces { get; init; } = 20_000;

    /// <summary>Max number of rules open at once.</summary>
    public int MaxDepth { get; init; } = 256;

    /// <summary>Bytes that the states and masks of one grammar may take; beyond that they are forgotten and computed again.</summary>
    public long MaxBytes { get; init; } = 32L << 20;

    /// <summary>
    /// Steps through the rules that the first state, the first mask and the masks inside strings may take together; some 10 ns each.
    /// </summary>
    public long MaxWork { get; init; } = 6_000_000;

    /// <summary>Bytes that states and masks may take while a grammar is compiled.</summary>
    public long MaxCompileBytes { get; init; } = 16L << 20;

    /// <summary>Credit at the start of a request: steps through the rules that it may take beyond <see cref="WorkPerToken"/>.</summary>
    public long MaxCredit { get; init; } = 50_000_000;

    /// <summary>
    /// Steps through the rules that each token adds to a request's credit: the average delay it may cause to other requests.
    /// </summary>
    public long WorkPerToken { get; init; } = 125_000;

    /// <summary>Steps that a request without credit may still take to find some possible next tokens, and to follow one.</summary>
    public long MinWork { get; init; } = 500_000;
}
