using System.Diagnostics;
using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>Adds up the time that each operation of a device takes; no operations are fused.</summary>
internal sealed class TimedOps(IDeviceOps inner) : IDeviceOps
{
    /// <summary>Seconds of each operation since the last <see cref="Reset"/>.</summary>
    public Dictionary<string, double> Seconds { get; } = [];

    public Device Device => inner.Device;

    public DeviceFeatures Features { get; } = inner.Features with { Fused = null };

    public void Reset() => Seconds.Clear();

    public ScalarType ActivationType(ScalarType computeType) => inner.ActivationType(computeType);

    public LinearWeight PackLinear(Tensor weight, Tensor? bias, LinearRole role, WeightPacking packing) =>
        inner.PackLinear(weight, bias, role, packing);

    public Tensor ToDevice(Tensor weight) => inner.ToDevice(weight);

    public Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata) => inner.BeginStep(inputIds, metadata);

    public Tensor Linear(Tensor x, LinearWeight weight) => Time($"linear {weight.OutFeatures}x{weight.InFeatures}", () => inner.Linear(x, weight));

    public Tensor Embedding(Tensor ids, Tensor table) => Time("embedding", () => inner.Embedding(ids, table));

    public Tensor SelectRows(Tensor x, ReadOnlySpan<int> indices) => inner.SelectRows(x, indices);

    public Tensor RmsNorm(Tensor x, Tensor weight, float epsilon) => Time("norm", () => inner.RmsNorm(x, weight, epsilon));

    public void RmsNormHeads(Tensor qkv, Tensor weight, int firstColumn, int heads, float epsilon) => inner.RmsNormHeads(qkv, weight, firstColumn, heads, epsilon);

    public void RotaryAndCache(Tensor qkv, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape) => Time("rotary", () =>
    {
        inner.RotaryAndCache(qkv, rotary, cache, metadata, shape);
        return qkv;
    });

    public Tensor Attention(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape) => Time("attention", () => inner.Attention(qkv, cache, metadata, shape));

    public Tensor SiluAndMul(Tensor gateUp) => Time("silu", () => inner.SiluAndMul(gateUp));

    public IReadOnlyList<long[]> CacheBlockShapes(KvLayerSpec layer) => inner.CacheBlockShapes(layer);

    private Tensor Time(string operation, Func<Tensor> run)
    {
        var start = Stopwatch.GetTimestamp();
        var result = run();
        Seconds[operation] = Seconds.GetValueOrDefault(operation) + Stopwatch.GetElapsedTime(start).TotalSeconds;
        return result;
    }
}
