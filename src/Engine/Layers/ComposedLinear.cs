using LocalLlm.Interop;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// Composes every product from one plain product and the device's primitives, for linear methods without fused kernels.
/// </summary>
internal abstract class ComposedLinear(LayerContext context) : ILinear
{
    /// <inheritdoc/>
    public virtual IWeightMatrix? Weight => null;

    /// <inheritdoc/>
    public virtual int MaxRecordedRows => int.MaxValue;

    /// <inheritdoc/>
    public abstract Tensor Forward(Tensor x);

    /// <inheritdoc/>
    public virtual ILinear Copy(Device device) => throw new NotSupportedException($"{GetType().FullName} cannot be copied to another rank");

    /// <inheritdoc/>
    public virtual void Take(ILinear copy) => throw new NotSupportedException($"{GetType().FullName} cannot be taken from another rank");

    /// <inheritdoc/>
    public virtual Tensor ForwardNormed(Tensor x, RmsNorm norm) => Forward(context.Ops.RmsNorm(x, norm.Weight, norm.Epsilon));

    /// <inheritdoc/>
    public virtual Tensor ForwardGated(Tensor x, RmsNorm norm) => context.Ops.SiluAndMul(ForwardNormed(x, norm));

    /// <inheritdoc/>
    public Tensor ForwardRotated(Tensor x, RmsNorm norm, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata,
        AttentionShape shape)
    {
        var qkv = ForwardNormed(x, norm);
        context.Ops.RotaryAndCache(qkv, rotary, cache, metadata, shape);
        return qkv;
    }

    /// <inheritdoc/>
    public virtual void AddTo(Tensor residual, Tensor x) => residual.AddInPlace(Forward(x));
}
