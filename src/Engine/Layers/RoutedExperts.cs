using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// The experts that a router chooses from: each computes the rows of its own tokens. A rank has a part of every expert, or some experts whole.
/// </summary>
internal sealed class RoutedExperts : IExperts
{
    private readonly Expert[] _experts; // of this rank
    private readonly IExpertOps _ops;
    private readonly ExpertGroups _groups;
    private readonly long[] _usage; // tokens of each expert, of all ranks

    /// <summary>Registers <c>prefix.N.{gate,up,down}_proj</c>.</summary>
    public RoutedExperts(LayerContext context, string prefix, int hiddenSize, ExpertOptions options)
    {
        var count = options.Routing.Count;
        var own = context.SpreadsExperts ? ShardRange.OfWhole(count, context.ExpertRanks) : new(0, count);
        var part = context.SpreadsExperts
            ? new(0, options.Width) : ShardRange.Of(options.Width, context.ExpertRanks, $"The output size of {prefix}.0.gate_proj");
        _ops = context.Experts;
        First = (int)own.Start;
        _experts = [.. Enumerable.Range(First, (int)own.Length)
            .Select(expert => new Expert(context, $"{prefix}.{expert}", hiddenSize, options.Width, part))];
        _groups = new(count);
        _usage = context.ExpertUsage.AddLayer(count);
        if (own.Length < count)
            context.Weights.Ignore(name => IsOfAnotherRank(name, $"{prefix}.", own, count));
    }

    /// <inheritdoc/>
    public int First { get; }

    /// <inheritdoc/>
    public int Count => _experts.Length;

    /// <summary>[tokens, hidden] → the weighted sum of each token's experts on this rank [tokens, hidden] float32.</summary>
    public Tensor Forward(Tensor x, ExpertChoices choices)
    {
        if (_ops.TrySum(x, choices, this) is { } sum)
            return sum;
        _groups.Fill(choices.Ids);
        _groups.CountUp(_usage);
        return _ops.Sum(x, _groups, choices.Weights, this);
    }

    /// <inheritdoc/>
    public ExpertMatrices? MatricesOf(int expert) => _experts[expert - First].Matrices;

    /// <inheritdoc/>
    public Tensor Forward(int expert, Tensor x) => _experts[expert - First].Forward(x);

    private static bool IsOfAnotherRank(string name, string prefix, ShardRange own, int count) =>
        WeightNames.NumberAfter(prefix, name) is { } expert && expert < count && (expert < own.Start || expert >= own.Start + own.Length);
}
