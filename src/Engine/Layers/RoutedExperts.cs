using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// The experts that a router chooses from, one after the other: each computes the rows of its own tokens. A token's results are summed in the
/// order of the experts, so that the sum does not depend on what else is in the step. A rank has a part of every expert, or some experts whole.
/// </summary>
internal sealed class RoutedExperts
{
    private readonly Expert[] _experts; // of this rank
    private readonly int _first;
    private readonly ExpertGroups _groups;
    private readonly long[] _usage; // tokens of each expert, of all ranks

    /// <summary>Registers <c>prefix.N.{gate,up,down}_proj</c>.</summary>
    public RoutedExperts(LayerContext context, string prefix, int hiddenSize, ExpertOptions options)
    {
        var count = options.Routing.Count;
        var own = context.SpreadsExperts ? ShardRange.OfWhole(count, context.ExpertRanks) : new(0, count);
        var part = context.SpreadsExperts
            ? new(0, options.Width) : ShardRange.Of(options.Width, context.ExpertRanks, $"The output size of {prefix}.0.gate_proj");
        _first = (int)own.Start;
        _experts = [.. Enumerable.Range(_first, (int)own.Length)
            .Select(expert => new Expert(context, $"{prefix}.{expert}", hiddenSize, options.Width, part))];
        _groups = new(count);
        _usage = context.ExpertUsage.AddLayer(count);
        if (own.Length < count)
            context.Weights.Ignore(name => IsOfAnotherRank(name, $"{prefix}.", own, count));
    }

    /// <summary>[tokens, hidden] → the weighted sum of each token's experts on this rank [tokens, hidden] float32.</summary>
    public Tensor Forward(Tensor x, ExpertChoices choices)
    {
        var sum = zeros([x.size(0), x.size(1)], ScalarType.Float32, x.device);
        using var scope = NewDisposeScope();
        var weights = choices.Weights.view(-1);
        _groups.Fill(choices.Ids);
        _groups.CountUp(_usage);
        for (var expert = 0; expert < _experts.Length; expert++)
        {
            var (tokens, places) = _groups.Of(_first + expert);
            if (tokens.IsEmpty)
                continue;
            using var inner = NewDisposeScope();
            var rows = tensor(tokens.ToArray(), device: x.device);
            var result = _experts[expert].Forward(x.index_select(0, rows)).to(ScalarType.Float32);
            sum.IndexAddInPlace(rows, result * weights.index_select(0, tensor(places.ToArray(), device: x.device)).unsqueeze(1));
        }

        return sum;
    }

    private static bool IsOfAnotherRank(string name, string prefix, ShardRange own, int count) =>
        WeightNames.NumberAfter(prefix, name) is { } expert && expert < count && (expert < own.Start || expert >= own.Start + own.Length);
}
