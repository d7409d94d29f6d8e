using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// The fused operations, composed of a device's primitives. A device that fuses only some of them derives from this class.
/// </summary>
internal class ComposedOps(IDeviceOps ops) : IFusedOps
{
    /// <inheritdoc/>
    public virtual Tensor NormLinear(Tensor x, Tensor normWeight, float epsilon, LinearWeight weight) =>
        ops.Linear(ops.RmsNorm(x, normWeight, epsilon), weight);

    /// <inheritdoc/>
    public virtual Tensor NormGatedLinear(Tensor x, Tensor normWeight, float epsilon, LinearWeight gateUp) =>
        ops.SiluAndMul(NormLinear(x, normWeight, epsilon, gateUp));

    /// <inheritdoc/>
    public virtual void LinearAdd(Tensor x, LinearWeight weight, Tensor residual) => residual.AddInPlace(ops.Linear(x, weight));

    /// <inheritdoc/>
    public virtual Tensor NormQkvRotary(
        Tensor x, Tensor normWeight, float epsilon, LinearWeight qkv, RotaryTable rotary, KvLayerCache cache,
        AttentionMetadata metadata, AttentionShape shape)
    {
        var projected = NormLinear(x, normWeight, epsilon, qkv);
        ops.RotaryAndCache(projected, rotary, cache, metadata, shape);
        return projected;
    }

    /// <inheritdoc/>
    public virtual Tensor TextAttention(Tensor qkv, TextSpans texts, int heads) => Ops.TextAttention.Forward(qkv, texts, heads);

    /// <inheritdoc/>
    public virtual Tensor AddLayerNorm(Tensor x, Tensor residual, Tensor weight, Tensor bias, float epsilon) =>
        nn.functional.layer_norm(x.AddInPlace(residual), [x.size(1)], weight, bias, epsilon);

    /// <inheritdoc/>
    public virtual Tensor Gelu(Tensor x) => nn.functional.gelu(x);
}
