using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>One or several matrices of the same input as one product, with biases, whole on every rank.</summary>
internal sealed class Dense : ParallelLinear
{
    /// <summary>Registers <c>prefix.weight</c> [out, in] and <c>prefix.bias</c> [out] of every prefix.</summary>
    public Dense(LayerContext context, IReadOnlyList<string> prefixes, int inFeatures, int outFeatures, LinearRole role = LinearRole.Other)
        : base(
            context,
            [.. prefixes.Select(prefix => WeightSpec.Whole($"{prefix}.weight", outFeatures, inFeatures))],
            [.. prefixes.Select(prefix => WeightSpec.Whole($"{prefix}.bias", outFeatures))],
            role)
    {
    }

    /// <summary>[rows, in] → [rows, out · prefixes].</summary>
    public Tensor Forward(Tensor x) => Matrix.Forward(x);
}
