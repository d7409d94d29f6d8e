using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>A matrix whose inputs are split over the ranks; the ranks' products are summed.</summary>
internal sealed class RowParallelLinear : ParallelLinear
{
    /// <summary>Registers <c>prefix.weight</c> [out, in] and <c>prefix.bias</c>, which only rank 0 adds.</summary>
    public RowParallelLinear(LayerContext context, string prefix, int inFeatures, int outFeatures, bool bias)
        : base(context, [Part(context, prefix, inFeatures, outFeatures)],
            bias && context.Collectives.Rank == 0 ? [WeightSpec.Whole($"{prefix}.bias", outFeatures)] : [], LinearRole.Other)
    {
        if (bias && context.Collectives.Rank != 0)
            context.Weights.Ignore(name => name == $"{prefix}.bias");
    }

    /// <summary>Adds the product to the residual stream: x [tokens, in], residual [tokens, out].</summary>
    public void AddTo(Tensor residual, Tensor x)
    {
        if (Context.Collectives.WorldSize == 1)
            Matrix.AddTo(residual, x);
        else
            Context.Collectives.AddAllReduced(residual, Matrix.Forward(x));
    }

    /// <summary>The product: x [tokens, in] → [tokens, out], the same on all ranks.</summary>
    public Tensor Forward(Tensor x) => Context.Collectives.AllReduce(Matrix.Forward(x));

    private static WeightSpec Part(LayerContext context, string prefix, int inFeatures, int outFeatures)
    {
        var shard = ShardRange.Of(inFeatures, context.Collectives, $"The input size of {prefix}");
        return new($"{prefix}.weight", [outFeatures, inFeatures], 1, shard.Start, shard.Length);
    }
}
