using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

// What the card does beyond computing layers: its own memory, recorded steps, sampling, work with other ranks.
internal sealed unsafe partial class CudaOps : IDeviceMemory, IGraphCapture, ITokenSampler, ICollectiveDevice
{
    private (int Inputs, int Sampler) _settledInputs;

    /// <summary>The card, for connections between ranks.</summary>
    public CudaDevice Card => _device;

    /// <summary>The card's kernels.</summary>
    public KernelCompiler Kernels => _kernels;

    /// <inheritdoc/>
    IntPtr ICollectiveDevice.Stream => _device.Stream;

    /// <inheritdoc/>
    void ICollectiveDevice.UseOnThisThread() => _device.UseOnThisThread();

    /// <inheritdoc/>
    bool ICollectiveDevice.IsRecording => _device.RecordedGates is not null;

    /// <inheritdoc/>
    void ICollectiveDevice.RecordGate(LaunchGate gate) => _device.RecordedGates!.Add(gate);

    /// <inheritdoc/>
    void ICollectiveDevice.Synchronize() => _device.Synchronize();

    /// <inheritdoc/>
    Tensor ICollectiveDevice.Rent(WorkspaceSlot slot, long rows, long width, ScalarType type) => _workspace.Rent(slot, rows, width, type);

    /// <inheritdoc/>
    DeviceMemory IDeviceMemory.Now
    {
        get
        {
            var (free, total) = _device.CountedMemory();
            return new(total, total - free, EngineOptionsDefaults.GpuMemoryUtilization);
        }
    }

    /// <inheritdoc/>
    public long Version => ((long)_workspace.Version << 32) + _inputs.Version + _sampler.Version + _rotaryVersion;

    /// <inheritdoc/>
    public IWeightStaging CreateStaging() => new CudaWeightStaging(_device);

    /// <inheritdoc/>
    public void Reserve(KvLayerSpec layer, ScalarType type, int maxModelLen, int maxSequences)
    {
        _attention.Reserve(layer, type, maxModelLen);
        if (Features.Latent is not null)
            _latent.Reserve(layer, type, maxModelLen);
        _sampler.Reserve(maxSequences);
        _inputs.Reserve((long)maxSequences * ((maxModelLen + AttentionMetadata.BlockSize - 1) / AttentionMetadata.BlockSize));
    }

    /// <inheritdoc/>
    public void Settle()
    {
        _workspace.Settle();
        _settledInputs = (_inputs.Version, _sampler.Version);
    }

    /// <inheritdoc/>
    public string? TakeGrowth()
    {
        var (inputs, sampler) = _settledInputs;
        if (_workspace.Grown.Count == 0 && (inputs, sampler) == (_inputs.Version, _sampler.Version))
            return null;
        List<string> grown = [.. _workspace.Grown.Select(slot => slot.ToString())];
        if (inputs != _inputs.Version)
            grown.Add("inputs of a step");
        if (sampler != _sampler.Version)
            grown.Add("sampled ids");
        Settle();
        return string.Join(", ", grown);
    }

    /// <inheritdoc/>
    public void ReleaseUnused() => _device.ReleaseUnusedMemory();

    /// <inheritdoc/>
    public Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata, int rows)
    {
        _inputs.Upload(inputIds, metadata, rows);
        return _inputs.Ids;
    }

    /// <inheritdoc/>
    public int MaxRows(IWeightMatrix matrix, ScalarType type) => matrix switch
    {
        Fp8Weight fp8 => SkinnyProduct.Takes(type, 1, fp8.InFeatures, fp8: true) && SkinnyProduct.TakesGrid(fp8.Grid, fp8.InFeatures) ? SkinnyTiling.MaxRows : 0,
        _ => int.MaxValue,
    };

    /// <inheritdoc/>
    public ICapturedGraph Capture(Action body) => new CudaGraph(_device, body);

    /// <inheritdoc/>
    public Tensor BestOfRanks(Tensor maxima, int ranks) => _sampler.BestOfRanks(maxima, ranks);

    /// <inheritdoc/>
    public void BeginSample(Tensor? logits, SamplingBatch batch, Tensor? best = null) => _sampler.Begin(logits, batch, best);

    /// <inheritdoc/>
    public void EndSample(Span<int> ids) => _sampler.End(ids);

    /// <inheritdoc/>
    public Tensor Sampled(int rows) => _sampler.Sampled(rows);

    /// <inheritdoc/>
    public void Reserve(int rows) => _sampler.Reserve(rows);

    /// <inheritdoc/>
    public void Keep(Tensor ids, int firstRow) => _sampler.Keep(ids, firstRow);
}
