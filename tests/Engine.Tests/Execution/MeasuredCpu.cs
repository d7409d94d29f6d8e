using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Execution;

/// <summary>The CPU as a device with memory of its own. It counts the calls that it gets, and it does not sample.</summary>
internal sealed class MeasuredCpu(long availableBytes) : IDeviceOps, IDeviceMemory, IDisposable
{
    private readonly CpuOps _cpu = new();

    /// <summary>Forward passes so far.</summary>
    public int Steps { get; private set; }

    /// <summary>Largest step so far, in tokens.</summary>
    public int LargestStep { get; private set; }

    /// <summary>For every step so far, the number of new tokens of each sequence.</summary>
    public List<int[]> Shapes { get; } = [];

    /// <summary>Layers for which memory was reserved.</summary>
    public List<KvLayerSpec> Reserved { get; } = [];

    /// <summary>The used memory that <see cref="Now"/> reports.</summary>
    public long UsedBytes { get; init; }

    public Device Device => _cpu.Device;

    public DeviceFeatures Features => DeviceFeatures.None with
    {
        Memory = this, SharesLoaded = SharesLoaded, GraphCapture = Capture, Fp8 = Fp8 ?? (Capture is null ? null : _cpu.Features.Fp8),
    };

    /// <summary>Records the device's steps, and enables the CPU's products of 8-bit floats; null: neither.</summary>
    public IGraphCapture? Capture { get; init; }

    /// <summary>Multiplies by 8-bit floats; null: the CPU's operations if steps are recorded, else plain operations.</summary>
    public IFp8Ops? Fp8 { get; init; }

    public bool SharesLoaded { get; init; }

    public DeviceMemory Now => new(availableBytes, UsedBytes, 0.5);

    public IWeightStaging CreateStaging() => new HostStaging();

    public void Reserve(KvLayerSpec layer, ScalarType type, int maxModelLen, int maxSequences) => Reserved.Add(layer);

    /// <summary>Growth that the device reports once after loading.</summary>
    public string? Growth { get; set; }

    public bool IsSettled { get; private set; }

    public void Settle() => IsSettled = true;

    public string? TakeGrowth()
    {
        var grown = Growth;
        Growth = null;
        return grown;
    }

    public void ReleaseUnused()
    {
    }

    public ScalarType ActivationType(ScalarType computeType) => _cpu.ActivationType(computeType);

    public LinearWeight PackLinear(Tensor weight, Tensor? bias, LinearRole role, WeightPacking packing) => _cpu.PackLinear(weight, bias, role, packing);

    public Tensor ToDevice(Tensor weight) => _cpu.ToDevice(weight);

    public Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata)
    {
        Steps++;
        LargestStep = Math.Max(LargestStep, inputIds.Length);
        Shapes.Add([.. metadata.Sequences.Span.ToArray().Select(sequence => sequence.TokenCount)]);
        return _cpu.BeginStep(inputIds, metadata);
    }

    public Tensor Linear(Tensor x, LinearWeight weight) => _cpu.Linear(x, weight);

    public Tensor Embedding(Tensor ids, Tensor table) => _cpu.Embedding(ids, table);

    public Tensor SelectRows(Tensor x, ReadOnlySpan<int> indices) => _cpu.SelectRows(x, indices);

    public Tensor RmsNorm(Tensor x, Tensor weight, float epsilon) => _cpu.RmsNorm(x, weight, epsilon);

    public void RmsNormHeads(Tensor qkv, Tensor weight, int firstColumn, int heads, float epsilon) =>
        _cpu.RmsNormHeads(qkv, weight, firstColumn, heads, epsilon);

    public void RotaryAndCache(Tensor qkv, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape) =>
        _cpu.RotaryAndCache(qkv, rotary, cache, metadata, shape);

    public Tensor Attention(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape) =>
        _cpu.Attention(qkv, cache, metadata, shape);

    public Tensor SiluAndMul(Tensor gateUp) => _cpu.SiluAndMul(gateUp);

    public IReadOnlyList<long[]> CacheBlockShapes(KvLayerSpec layer) => _cpu.CacheBlockShapes(layer);

    public void Dispose() => _cpu.Dispose();
}
