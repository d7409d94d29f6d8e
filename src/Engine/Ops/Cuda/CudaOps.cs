using LocalLlm.Interop.Cuda;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// The operations of a GPU: our own kernels, cuBLAS for products of many rows, libtorch's flash attention for long prefills. Results are in
/// a <see cref="CudaWorkspace"/> and valid until the next layer asks for the same kind of result.
/// </summary>
internal sealed unsafe partial class CudaOps : IDeviceOps, IDisposable
{
    private const string Elementwise = "elementwise.cu";

    // With more rows, a matrix product is bound by arithmetic rather than by reading the weights.
    private const int MaxGemvRows = 4;
    private const int NormThreads = 256;
    private const int GatherThreads = 128;
    private const int RotaryThreads = 256;

    private readonly CudaDevice _device;
    private readonly KernelCompiler _kernels;
    private readonly CudaWorkspace _workspace;
    private readonly StepInputs _inputs;
    private readonly CudaAttention _attention;
    private readonly CudaSampler _sampler;
    private readonly CudaFp8Ops _fp8;
    private readonly CudaLatentOps _latent;
    private readonly CudaExpertOps _experts;
    private readonly Dictionary<RotaryTable, (int Version, RotaryTable Copy)> _rotaries = [];
    private int _rotaryVersion;

    /// <summary>Opens the device for this thread.</summary>
    /// <exception cref="EngineException">Kind Environment: what is missing or too old.</exception>
    /// <param name="ordinal">Ordinal of the card.</param>
    /// <param name="priority">Priority of its work over that of other processes and engines.</param>
    /// <param name="fp8WeightsOnly">Whether activations stay in 16 bits where weights are 8-bit floats.</param>
    /// <param name="stepsInFlight">Max number of queued steps, including the one that the card computes.</param>
    /// <param name="architecture">As in <see cref="CudaDevice"/>.</param>
    /// <param name="memoryBytes">As in <see cref="CudaDevice"/>.</param>
    public CudaOps(
        int ordinal, DevicePriority priority = DevicePriority.High, bool fp8WeightsOnly = false, int stepsInFlight = 2, int? architecture = null,
        long? memoryBytes = null)
    {
        _device = new(ordinal, priority, architecture, memoryBytes);
        _kernels = new(_device);
        _workspace = new(_device.Torch);
        _inputs = new(_device, stepsInFlight);
        _attention = new(_device, _kernels, _workspace, _inputs);
        _sampler = new(_device, _kernels, _workspace, stepsInFlight);
        Skinny = new(_device, _kernels, _workspace);
        Products = new(_device, _kernels, _workspace, fp8WeightsOnly);
        Bulk = new(_device, _kernels, _workspace, Products);
        _fp8 = new(_device, Skinny, Products, Bulk, _workspace);
        _latent = new(_device, _kernels, _workspace, _inputs, Skinny, Products, OnDevice);
        _experts = new(_device, _kernels, _workspace, _inputs, Skinny, Products, Bulk);
        // The kernels of latent attention and experts need bfloat16, flash attention and more shared memory than Turing has.
        var isNew = _device.ComputeCapability >= CudaDevice.Ampere;
        Features = new()
        {
            Latent = isNew ? _latent : null, Experts = isNew ? _experts : null, Fp8 = _fp8, Fused = this, GraphCapture = this, TokenSampler = this,
            Memory = this, SharesLoaded = true, LacksBFloat16 = !isNew,
        };
    }

    /// <inheritdoc/>
    public Device Device => _device.Torch;

    /// <inheritdoc/>
    public DeviceFeatures Features { get; }

    /// <summary>Products of few rows, by any matrix.</summary>
    internal SkinnyProduct Skinny { get; }

    /// <summary>Products of 8-bit floats by 8-bit floats.</summary>
    internal WarpgroupProducts Products { get; }

    /// <summary>Products of 8-bit floats by 8-bit floats, for many rows.</summary>
    internal BulkProducts Bulk { get; }

    /// <inheritdoc/>
    public ScalarType ActivationType(ScalarType computeType) => computeType;

    /// <inheritdoc/>
    public Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata) => BeginStep(inputIds, metadata, inputIds.Length);

    /// <inheritdoc/>
    public LinearWeight PackLinear(Tensor weight, Tensor? bias, LinearRole role, WeightPacking packing) =>
        new(ToDevice(weight), bias is null ? null : ToDevice(bias), (int)weight.size(0), (int)weight.size(1)) { Role = role };

    /// <inheritdoc/>
    public Tensor ToDevice(Tensor weight)
    {
        // A weight that was loaded to the device stays where it is; the loader disposes its own handle.
        var onDevice = weight.device_type == _device.Torch.type ? weight.alias() : weight.to(_device.Torch);
        return onDevice.DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor Linear(Tensor x, LinearWeight weight)
    {
        var y = _workspace.Rent(SlotOf(weight.Role), x.size(0), weight.OutFeatures, x.dtype);
        if (TakesGemv(x, weight))
            Gemv(x, weight, null, 0, y);
        else
            Multiply(x, weight, y, weight.Bias);
        return y;
    }

    /// <inheritdoc/>
    public Tensor Embedding(Tensor ids, Tensor table) => GatherRows(table, ids, _sampler.Ids, WorkspaceSlot.Hidden, (int)ids.size(0));

    /// <inheritdoc/>
    public Tensor EmbeddingShard(Tensor ids, Tensor table, long firstId)
    {
        var (rows, width) = ((int)ids.size(0), (int)table.size(1));
        var y = _workspace.Rent(WorkspaceSlot.Hidden, rows, width, table.dtype);
        Kernel(Elementwise, "gatherShard", table.dtype).Launch((rows, 1, 1), GatherThreads, [table, ids, _sampler.Ids, y, width, (int)table.size(0), (int)firstId]);
        return y;
    }

    /// <inheritdoc/>
    public Tensor SelectRows(Tensor x, ReadOnlySpan<int> indices) => GatherRows(x, _inputs.Select(indices), 0ul, WorkspaceSlot.Selected, indices.Length);

    /// <inheritdoc/>
    public Tensor RowMaxima(Tensor x, long firstColumn) => _sampler.RowMaxima(x, firstColumn);

    /// <inheritdoc/>
    public Tensor RmsNorm(Tensor x, Tensor weight, float epsilon)
    {
        var (rows, width) = ((int)x.size(0), (int)x.size(1));
        var y = _workspace.Rent(WorkspaceSlot.Normed, rows, width, x.dtype);
        Kernel(Elementwise, "rmsNorm", x.dtype).Launch((rows, 1, 1), NormThreads, [x, (int)x.stride(0), weight, y, width, epsilon]);
        return y;
    }

    /// <inheritdoc/>
    public void RmsNormHeads(Tensor qkv, Tensor weight, int firstColumn, int heads, float epsilon)
    {
        const int warp = 32;
        var (rows, width, headDim) = ((int)qkv.size(0), (int)qkv.size(1), (int)weight.size(0));
        Kernel(Elementwise, "rmsNormHeads", qkv.dtype).Launch((rows, heads, 1), warp, [qkv, weight, width, firstColumn, headDim, epsilon]);
    }

    /// <inheritdoc/>
    public void RotaryAndCache(Tensor qkv, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
    {
        var table = OnDevice(rotary);
        if (cache.IsScaled)
        {
            const int headsOfBlock = 4, warp = 32;
            var blocks = (shape.Heads + (2 * shape.KvHeads) + headsOfBlock - 1) / headsOfBlock;
            Kernel(CudaAttention.Float8CacheSource, "rotaryAndStore", qkv.dtype).Launch(((int)qkv.size(0), blocks, 1), headsOfBlock * warp, [
                qkv, table.Cos, table.Sin, _inputs.RotaryRows, _inputs.Slots, cache.Keys, cache.Values, cache.KeyScales, cache.ValueScales,
                shape.Heads, shape.KvHeads, shape.HeadDim,
            ]);
            return;
        }

        Kernel(Elementwise, "rotaryAndCache", qkv.dtype).Launch(
            ((int)qkv.size(0), 1, 1),
            RotaryThreads,
            [qkv, table.Cos, table.Sin, _inputs.RotaryRows, _inputs.Slots, cache.Keys, cache.Values, shape.Heads, shape.KvHeads, shape.HeadDim]);
    }

    /// <inheritdoc/>
    public Tensor Attention(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape) =>
        _attention.Forward(qkv, cache, metadata, shape);

    /// <inheritdoc/>
    public Tensor SiluAndMul(Tensor gateUp)
    {
        const int threads = 256, perThread = 8;
        var (rows, width) = ((int)gateUp.size(0), (int)(gateUp.size(1) / 2));
        var y = _workspace.Rent(WorkspaceSlot.Activation, rows, width, gateUp.dtype);
        var parts = (width + (threads * perThread) - 1) / (threads * perThread);
        Kernel(Elementwise, "siluAndMul", gateUp.dtype).Launch((rows, parts, 1), threads, [gateUp, y, width]);
        return y;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // After a fault of the card this wait fails; the engine must shut down in order all the same.
        _ = CudaDriver.cuStreamSynchronize(_device.Stream);
        foreach (var (_, copy) in _rotaries.Values)
            copy.Dispose();
        _fp8.Dispose();
        _experts.Dispose();
        _sampler.Dispose();
        _inputs.Dispose();
        _workspace.Dispose();
        _kernels.Dispose();
        _device.ReleaseUnusedMemory();
        _device.Dispose();
    }

    // Results that are alive at the same time have different slots.
    internal static WorkspaceSlot SlotOf(LinearRole role) => role switch
    {
        LinearRole.Qkv => WorkspaceSlot.Qkv,
        LinearRole.GateUp => WorkspaceSlot.GateUp,
        LinearRole.Head => WorkspaceSlot.Logits,
        LinearRole.LatentDown => WorkspaceSlot.LatentDown,
        LinearRole.Router => WorkspaceSlot.Router,
        _ => WorkspaceSlot.Output,
    };

    private static bool TakesGemv(Tensor x, LinearWeight weight) =>
        x.size(0) <= MaxGemvRows && weight.InFeatures % (16 / x.dtype.ElementSize()) == 0;

    private CudaKernel Kernel(string source, string function, ScalarType type) => _kernels.Get(source, function, KernelCompiler.TypeMacro(type));

    private void Gemv(
        Tensor x, LinearWeight weight, Tensor? normWeight, float epsilon, Tensor y, GemvEpilogue epilogue = GemvEpilogue.None, int headDim = 0, params ReadOnlySpan<KernelArgument> rotary)
    {
        var packs = weight.InFeatures / (16 / (int)x.dtype.ElementSize());
        var tiling = GemvTiling.Of(weight.Role, packs);
        // Number of results, or of pairs for an epilogue that combines two.
        var paired = epilogue is GemvEpilogue.Gated or GemvEpilogue.Rotary;
        var (count, owned) = paired ? (weight.OutFeatures / 2, tiling.Outputs / 2) : (weight.OutFeatures, tiling.Outputs);
        _kernels.Get("gemv.cu", "gemv", tiling.Defines(x.dtype, (int)x.size(0), packs, normWeight is not null, epilogue, headDim)).Launch(
            ((count + owned - 1) / owned, 1, 1),
            tiling.Threads,
            [weight.Data, weight.Bias, x, normWeight, y, weight.OutFeatures, epsilon, .. rotary]);
    }

    // y = x · Wᵀ + addend, by cuBLAS. The addend is a bias, the residual (y itself) or null.
    private static void Multiply(Tensor x, LinearWeight weight, Tensor y, Tensor? addend)
    {
        var status = addend is null
            ? TorchCudaShim.aoti_torch_cuda_mm_out(y.Handle, x.Handle, weight.Transposed.Handle)
            : TorchCudaShim.aoti_torch_cuda_addmm_out(y.Handle, addend.Handle, x.Handle, weight.Transposed.Handle, 1, 1);
        if (status != 0)
            throw new InvalidOperationException($"a matrix product [{x.size(0)}, {weight.InFeatures}] x [{weight.InFeatures}, {weight.OutFeatures}] failed; libtorch wrote the cause to the standard error stream.");
    }

    private Tensor GatherRows(Tensor table, KernelArgument rows, KernelArgument sampled, WorkspaceSlot slot, int count)
    {
        var width = (int)table.size(1);
        var y = _workspace.Rent(slot, count, width, table.dtype);
        Kernel(Elementwise, "gatherRows", table.dtype).Launch((count, 1, 1), GatherThreads, [table, rows, sampled, y, width, (int)table.size(0)]);
        return y;
    }

    private RotaryTable OnDevice(RotaryTable rotary)
    {
        if (_rotaries.TryGetValue(rotary, out var known) && known.Version == rotary.Version)
            return known.Copy;
        if (known.Copy is { } old && old.Cos.size(0) == rotary.Cos.size(0))
        {
            old.Cos.copy_(rotary.Cos);
            old.Sin.copy_(rotary.Sin);
            _rotaries[rotary] = (rotary.Version, old);
            return old;
        }

        known.Copy?.Dispose();
        var copy = new RotaryTable(ToDevice(rotary.Cos), ToDevice(rotary.Sin));
        _rotaries[rotary] = (rotary.Version, copy);
        _rotaryVersion++;
        return copy;
    }
}
