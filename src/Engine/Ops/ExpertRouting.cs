namespace LocalLlm.Ops;

/// <summary>How a router scores the experts.</summary>
internal enum ExpertScoring
{
    /// <summary>The scores of all experts sum to 1.</summary>
    Softmax,

    /// <summary>Each expert is scored independently.</summary>
    Sigmoid,
}

/// <summary>How a router chooses experts by their scores.</summary>
internal enum ExpertChoice
{
    /// <summary>The experts with the best scores.</summary>
    Greedy,

    /// <summary>The best experts of the best groups; a group ranks by its best expert (arXiv 2405.04434).</summary>
    GroupLimitedGreedy,

    /// <summary>
    /// The best experts of the best groups, by score plus a learned bias; a group ranks by the sum of its two best. The bias balances the
    /// load and does not enter the weights (arXiv 2412.19437: <c>noaux_tc</c>).
    /// </summary>
    NoAuxiliaryLoss,
}

/// <summary>How the experts of a token are chosen and weighted.</summary>
internal sealed record ExpertRouting
{
    /// <summary>Number of routed experts.</summary>
    public required int Count { get; init; }

    /// <summary>Number of routed experts that process a token.</summary>
    public required int PerToken { get; init; }

    /// <summary>How experts are scored.</summary>
    public required ExpertScoring Scoring { get; init; }

    /// <summary>How experts are chosen.</summary>
    public required ExpertChoice Choice { get; init; }

    /// <summary>Number of groups, which have equal size; divides <see cref="Count"/>. 1 for <see cref="ExpertChoice.Greedy"/>.</summary>
    public required int Groups { get; init; }

    /// <summary>Number of groups that a token may choose from; together they hold at least <see cref="PerToken"/> experts.</summary>
    public required int GroupsPerToken { get; init; }

    /// <summary>Whether the weights of a token's experts are divided by their sum.</summary>
    public required bool NormalizesWeights { get; init; }

    /// <summary>Factor on the weights.</summary>
    public required float WeightScale { get; init; }
}
