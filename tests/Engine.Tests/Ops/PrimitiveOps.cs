using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>A device with only what every device must have: no fused operations, everything else unchanged.</summary>
internal class PrimitiveOps(IDeviceOps inner) : IDeviceOps, IDisposable
{
    public Device Device => inner.Device;

    public DeviceFeatures Features { get; } = inner.Features with { Fused = null };

    public ScalarType ActivationType(ScalarType computeType) => inner.ActivationType(computeType);

    public LinearWeight PackLinear(Tensor weight, Tensor? bias, LinearRole role, WeightPacking packing) =>
        inner.PackLinear(weight, bias, role, packing);

    public Tensor ToDevice(Tensor weight) => inner.ToDevice(weight);

    public Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata) => inner.BeginStep(inputIds, metadata);

    public Tensor Linear(Tensor x, LinearWeight weight) => inner.Linear(x, weight);

    public Tensor Embedding(Tensor ids, Tensor table) => inner.Embedding(ids, table);

    public Tensor SelectRows(Tensor x, ReadOnlySpan<int> indices) => inner.SelectRows(x, indices);

    public Tensor RmsNorm(Tensor x, Tensor weight, float epsilon) => inner.RmsNorm(x, weight, epsilon);

    public void RmsNormHeads(Tensor qkv, Tensor weight, int firstColumn, int heads, float epsilon) =>
        inner.RmsNormHeads(qkv, weight, firstColumn, heads, epsilon);

    public void RotaryAndCache(Tensor qkv, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape) =>
        inner.RotaryAndCache(qkv, rotary, cache, metadata, shape);

    public virtual Tensor Attention(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape) =>
        inner.Attention(qkv, cache, metadata, shape);

    public virtual Tensor SiluAndMul(Tensor gateUp) => inner.SiluAndMul(gateUp);

    public IReadOnlyList<long[]> CacheBlockShapes(KvLayerSpec layer) => inner.CacheBlockShapes(layer);

    public void Dispose()
    {
        (inner as IDisposable)?.Dispose();
        GC.SuppressFinalize(this);
    }
}
