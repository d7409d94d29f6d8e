using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// One or several matrices with the same input. Their outputs are split over the ranks, and each rank keeps its own. Several matrices
/// (gate and up) are joined into one product.
/// </summary>
internal sealed class ColumnParallelLinear : ParallelLinear
{
    /// <summary>Registers <c>prefix.weight</c> [out, in] of every prefix, and <c>prefix.bias</c> where there is one.</summary>
    /// <param name="context">What layers are built with.</param>
    /// <param name="prefixes">Names of the matrices.</param>
    /// <param name="inFeatures">Inputs of each matrix.</param>
    /// <param name="outFeatures">Outputs of each matrix, over all ranks.</param>
    /// <param name="bias">Whether they have biases.</param>
    /// <param name="role">What the products are for.</param>
    public ColumnParallelLinear(
        LayerContext context, IReadOnlyList<string> prefixes, int inFeatures, int outFeatures, bool bias, LinearRole role = LinearRole.GateUp)
        : base(context, Weights(context, prefixes, inFeatures, outFeatures), bias ? Biases(context, prefixes, outFeatures) : [], role)
    {
    }

    /// <summary>[rows, in] → [rows, out · prefixes] of this rank.</summary>
    public Tensor Forward(Tensor x) => Matrix.Forward(x);

    /// <summary>silu(gate) · up of the normalised input: [tokens, in] → [tokens, out].</summary>
    public Tensor ForwardGated(Tensor x, RmsNorm norm) => Matrix.ForwardGated(x, norm);

    private static WeightSpec[] Weights(LayerContext context, IReadOnlyList<string> prefixes, int inFeatures, int outFeatures)
    {
        var shard = ShardRange.Of(outFeatures, context.Collectives, $"The output size of {prefixes[0]}");
        return [.. prefixes.Select(prefix => new WeightSpec($"{prefix}.weight", [outFeatures, inFeatures], 0, shard.Start, shard.Length))];
    }

    private static WeightSpec[] Biases(LayerContext context, IReadOnlyList<string> prefixes, int outFeatures)
    {
        var shard = ShardRange.Of(outFeatures, context.Collectives, $"The output size of {prefixes[0]}");
        return [.. prefixes.Select(prefix => new WeightSpec($"{prefix}.bias", [outFeatures], 0, shard.Start, shard.Length))];
    }
}
