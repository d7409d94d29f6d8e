using LocalLlm.Interop;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// The CPU's fast path: our own Vector512 kernels on libtorch's threads, oneDNN's packed weights for bfloat16. A row's float32 results have
/// the same bits alone and in any batch; bfloat16 results do on request. float16 is stored and computed as float32, since libtorch computes
/// float16 many times slower than float32 or bfloat16 on a CPU.
/// </summary>
internal sealed unsafe class CpuOps : IDeviceOps, IDisposable
{
    // Fewer multiply-adds than this take less time than waking a second thread.
    private const long MinWorkPerThread = 500_000;

    // Number of query rows (tokens × heads of one kv head) that share the loads of a block.
    private const int RowsPerTile = 32;

    private readonly bool _packBFloat16;
    private readonly PairProducts? _invariant;
    private IReadOnlyList<int>? _cpus; // null once the threads are pinned
    private readonly CpuFp8Ops _fp8;
    private readonly NativeBuffer<AttentionTile> _tiles = new();
    private readonly NativeBuffer<int> _nextItem = new();
    private readonly NativeBuffer<float> _row = new();
    private readonly CpuLatentOps _latent;
    private readonly CpuExpertOps _experts;

    /// <summary>Finds out what libtorch multiplies fast on this CPU.</summary>
    /// <param name="batchInvariant">
    /// Whether bfloat16 results of a row also have the same bits alone and in any batch. No library multiplies then
    /// (docs/decisions/0029-batch-invariance.md).
    /// </param>
    /// <param name="cpus">A CPU for each thread that computes, to pin it to; null: the system places the threads.</param>
    public CpuOps(bool batchInvariant = false, IReadOnlyList<int>? cpus = null)
    {
        _cpus = cpus;
        _packBFloat16 = !batchInvariant && MkldnnLinear.TakesBFloat16();
        _invariant = batchInvariant ? new() : null;
        (_fp8, _latent, _experts) = (new(_packBFloat16), new(batchInvariant), new(batchInvariant));
        Features = new()
        {
            Latent = _latent, Experts = _experts, Fp8 = _fp8, IsBatchInvariant = batchInvariant,
            DecodeCopyTypes = KeepsDecodeCopies && !batchInvariant ? [ScalarType.BFloat16] : [],
        };
    }

    /// <summary>
    /// Whether a bfloat16 matrix may have a second copy for single rows (decision 0005). Not on processors with bfloat16 instructions:
    /// <see cref="PackedPanels"/> finds panels in the packed matrices there.
    /// </summary>
    public static bool KeepsDecodeCopies => !DotProductCode.IsSupported;

    /// <inheritdoc/>
    public Device Device => CPU;

    /// <inheritdoc/>
    public DeviceFeatures Features { get; }

    /// <inheritdoc/>
    public ScalarType ActivationType(ScalarType computeType) => computeType == ScalarType.BFloat16 ? computeType : ScalarType.Float32;

    /// <inheritdoc/>
    public Tensor ToDevice(Tensor weight) => weight.clone().DetachFromDisposeScope();

    /// <inheritdoc/>
    public Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata)
    {
        // Done here because this is the thread whose helpers compute.
        if (_cpus is { } cpus)
            CpuPinning.PinHelpers([.. cpus]);
        _cpus = null;
        return TorchOps.Ids(inputIds);
    }

    /// <inheritdoc/>
    public LinearWeight PackLinear(Tensor weight, Tensor? bias, LinearRole role, WeightPacking packing)
    {
        var (outFeatures, inFeatures) = ((int)weight.size(0), (int)weight.size(1));
        var ownBias = bias?.clone().DetachFromDisposeScope();
        if (weight.dtype == ScalarType.Float32)
            return new(PackPanels(weight, outFeatures, inFeatures), ownBias, outFeatures, inFeatures);
        if (_invariant is not null)
            return new(PairProducts.Pack(weight), ownBias, outFeatures, inFeatures);
        var data = (_packBFloat16 ? MkldnnLinear.Pack(weight) : weight.clone()).DetachFromDisposeScope();
        if (_packBFloat16 && PackedPanels.Find(data, weight) is { } panels)
            return new(data, ownBias, outFeatures, inFeatures) { Panels = panels };
        var copy = packing == WeightPacking.DecodeCopies ? PairProducts.Pack(weight) : null;
        return new(data, ownBias, outFeatures, inFeatures, copy)
        {
            Panels = copy is null ? null : new((nint)copy.DataPointer(), (inFeatures + 1) / 2),
        };
    }

    /// <inheritdoc/>
    public Tensor Linear(Tensor x, LinearWeight weight)
    {
        if (weight.Panels is { } decodePanels && x.size(0) == 1)
            return Matvec(x, weight, decodePanels);
        if (x.dtype != ScalarType.Float32 && _invariant is not null)
            return _invariant.Multiply(x, weight);
        if (x.dtype != ScalarType.Float32)
            return _packBFloat16 ? MkldnnLinear.Apply(x, weight.Data, weight.Bias) : nn.functional.linear(x, weight.Data, weight.Bias);

        var rows = (int)x.size(0);
        var output = empty([rows, weight.OutFeatures], ScalarType.Float32);
        var kernel = new PanelMatmulKernel
        {
            Input = (float*)x.DataPointer(),
            Panels = (float*)weight.Data.DataPointer(),
            Bias = weight.Bias is null ? null : (float*)weight.Bias.DataPointer(),
            Output = (float*)output.DataPointer(),
            Rows = rows,
            InFeatures = weight.InFeatures,
            OutFeatures = weight.OutFeatures,
        };
        var panels = PanelCount(weight.OutFeatures);
        var workPerPanel = (long)rows * weight.InFeatures * PanelMatmulKernel.PanelWidth;
        CpuParallel.For(kernel, panels, Grain(workPerPanel));
        return output;
    }

    /// <inheritdoc/>
    public Tensor Embedding(Tensor ids, Tensor table) => table.index_select(0, ids);

    /// <inheritdoc/>
    public Tensor SelectRows(Tensor x, ReadOnlySpan<int> indices)
    {
        var rowBytes = x.size(1) * x.dtype.ElementSize();
        var output = empty([indices.Length, x.size(1)], x.dtype);
        var source = (byte*)x.DataPointer();
        var target = (byte*)output.DataPointer();
        for (var i = 0; i < indices.Length; i++)
            Buffer.MemoryCopy(source + (indices[i] * rowBytes), target + (i * rowBytes), rowBytes, rowBytes);
        return output;
    }

    /// <inheritdoc/>
    public Tensor RowMaxima(Tensor x, long firstColumn) => Cpu.RowMaxima.Of(x, firstColumn, Grain(x.size(1)));

    /// <inheritdoc/>
    public Tensor RmsNorm(Tensor x, Tensor weight, float epsilon)
    {
        var output = empty([x.size(0), x.size(1)], x.dtype);
        if (x.dtype == ScalarType.Float32)
            Normalize<float, Float32Element>(x, output, weight, epsilon);
        else
            Normalize<ushort, BFloat16Element>(x, output, weight, epsilon);
        return output;
    }

    /// <inheritdoc/>
    public void RmsNormHeads(Tensor qkv, Tensor weight, int firstColumn, int heads, float epsilon)
    {
        var (rows, width, headDim) = (qkv.size(0), qkv.size(1), (int)weight.size(0));
        for (var head = 0; head < heads; head++)
        {
            var column = firstColumn + (head * headDim);
            if (qkv.dtype == ScalarType.Float32)
            {
                var start = (float*)qkv.DataPointer() + column;
                Run<float, Float32Element>(start, null, start, (float*)weight.DataPointer(), rows, headDim, width, width, epsilon);
            }
            else
            {
                var start = (ushort*)qkv.DataPointer() + column;
                Run<ushort, BFloat16Element>(start, null, start, (ushort*)weight.DataPointer(), rows, headDim, width, width, epsilon);
            }
        }
    }

    /// <inheritdoc/>
    public void RotaryAndCache(Tensor qkv, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
    {
        switch (qkv.dtype == ScalarType.Float32, cache.IsScaled)
        {
            case (true, false):
                RotaryAndCache<float, Float32Element, float, Float32Element>(qkv, rotary, cache, metadata, shape);
                break;
            case (true, true):
                RotaryAndCache<float, Float32Element, byte, Float8Element>(qkv, rotary, cache, metadata, shape);
                break;
            case (false, false):
                RotaryAndCache<ushort, BFloat16Element, ushort, BFloat16Element>(qkv, rotary, cache, metadata, shape);
                break;
            default:
                RotaryAndCache<ushort, BFloat16Element, byte, Float8Element>(qkv, rotary, cache, metadata, shape);
                break;
        }
    }

    /// <inheritdoc/>
    public Tensor Attention(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
    {
        var output = empty([metadata.TokenCount, shape.Heads * shape.HeadDim], qkv.dtype);
        switch (qkv.dtype == ScalarType.Float32, cache.IsScaled)
        {
            case (true, false):
                Attention<float, Float32Element, float, Float32Element>(qkv, output, cache, metadata, shape);
                break;
            case (true, true):
                Attention<float, Float32Element, byte, Float8Element>(qkv, output, cache, metadata, shape);
                break;
            case (false, false):
                Attention<ushort, BFloat16Element, ushort, BFloat16Element>(qkv, output, cache, metadata, shape);
                break;
            default:
                Attention<ushort, BFloat16Element, byte, Float8Element>(qkv, output, cache, metadata, shape);
                break;
        }

        return output;
    }

    /// <inheritdoc/>
    public Tensor SiluAndMul(Tensor gateUp)
    {
        var (rows, width) = (gateUp.size(0), (int)gateUp.size(1) / 2);
        var output = empty([rows, width], gateUp.dtype);
        const int costOfExp = 8;
        if (gateUp.dtype == ScalarType.Float32)
            CpuParallel.For(new SiluAndMulKernel<float, Float32Element> { GateUp = (float*)gateUp.DataPointer(), Output = (float*)output.DataPointer(), Width = width }, rows, Grain(width * costOfExp));
        else
            CpuParallel.For(new SiluAndMulKernel<ushort, BFloat16Element> { GateUp = (ushort*)gateUp.DataPointer(), Output = (ushort*)output.DataPointer(), Width = width }, rows, Grain(width * costOfExp));
        return output;
    }

    /// <inheritdoc/>
    public IReadOnlyList<long[]> CacheBlockShapes(KvLayerSpec layer)
    {
        const int blockSize = AttentionMetadata.BlockSize;
        if (layer.Layout == KvLayout.Rows)
            return [.. layer.Tensors.Select(tensor => (long[])[blockSize, tensor.Heads, tensor.Width])];
        var (heads, headDim) = layer.Tensors[0];
        return [[heads, headDim, blockSize], [heads, blockSize, Padded(headDim)]]; // keys, values
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _latent.Dispose();
        _experts.Dispose();
        _fp8.Dispose();
        _invariant?.Dispose();
        _tiles.Dispose();
        _nextItem.Dispose();
        _row.Dispose();
    }

    private static void Normalize<T, TElement>(Tensor x, Tensor output, Tensor weight, float epsilon)
        where T : unmanaged
        where TElement : struct, IElement<T>
    {
        var width = (int)x.size(1);
        Run<T, TElement>((T*)x.DataPointer(), null, (T*)output.DataPointer(), (T*)weight.DataPointer(), x.size(0), width, x.stride(0), width, epsilon);
    }

    private static void Run<T, TElement>(T* input, T* residual, T* output, T* weight, long rows, int width, long inputStride, long outputStride, float epsilon)
        where T : unmanaged
        where TElement : struct, IElement<T>
    {
        var kernel = new RmsNormKernel<T, TElement>
        {
            Input = input,
            Residual = residual,
            Output = output,
            Weight = weight,
            Width = width,
            InputStride = inputStride,
            OutputStride = outputStride,
            Epsilon = epsilon,
        };
        CpuParallel.For(kernel, rows, Grain(width));
    }

    private static void RotaryAndCache<T, TElement, TCache, TCacheElement>(
        Tensor qkv, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
        where T : unmanaged
        where TElement : struct, IElement<T>
        where TCache : unmanaged
        where TCacheElement : struct, ICacheElement<TCache>
    {
        var kernel = new RotaryCacheKernel<T, TElement, TCache, TCacheElement>
        {
            Qkv = (T*)qkv.DataPointer(),
            Keys = (TCache*)cache.Keys.DataPointer(),
            Values = (TCache*)cache.Values.DataPointer(),
            KeyScales = ScalesOf(cache, 0),
            ValueScales = ScalesOf(cache, 1),
            Cos = (float*)rotary.Cos.DataPointer(),
            Sin = (float*)rotary.Sin.DataPointer(),
            Rows = metadata.PositionRows.Pointer,
            Slots = metadata.SlotMapping.Pointer,
            Heads = shape.Heads,
            KvHeads = shape.KvHeads,
            HeadDim = shape.HeadDim,
            PaddedHeadDim = PaddedHeadDim(shape),
        };
        const int costPerElement = 4;
        CpuParallel.For(kernel, metadata.TokenCount, Grain(shape.QkvWidth * costPerElement));
    }

    private void Attention<T, TElement, TCache, TCacheElement>(Tensor qkv, Tensor output, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
        where T : unmanaged
        where TElement : struct, IElement<T>
        where TCache : unmanaged
        where TCacheElement : struct, ICacheElement<TCache>
    {
        var work = PlanTiles(metadata, shape);
        _nextItem.Resize(1);
        _nextItem.Span[0] = 0;
        var kernel = new PagedAttentionKernel<T, TElement, TCache, TCacheElement>
        {
            Qkv = (T*)qkv.DataPointer(),
            Output = (T*)output.DataPointer(),
            Keys = (TCache*)cache.Keys.DataPointer(),
            Values = (TCache*)cache.Values.DataPointer(),
            KeyScales = ScalesOf(cache, 0),
            ValueScales = ScalesOf(cache, 1),
            Tiles = _tiles.Pointer,
            Sequences = metadata.Sequences.Pointer,
            BlockTables = metadata.BlockTables.Pointer,
            NextItem = _nextItem.Pointer,
            ItemCount = _tiles.Count * shape.KvHeads,
            Heads = shape.Heads,
            KvHeads = shape.KvHeads,
            HeadDim = shape.HeadDim,
            PaddedHeadDim = PaddedHeadDim(shape),
            RowCapacity = Math.Max(RowsPerTile, (shape.Heads / shape.KvHeads + 3) / 4 * 4),
            Window = shape.SlidingWindow ?? int.MaxValue / 2,
            Scale = shape.Scale,
        };
        var threads = Math.Clamp(work / MinWorkPerThread, 1, CpuParallel.ThreadCount);
        CpuParallel.For(kernel, threads, grain: 1);
    }

    // Cuts every sequence's tokens into pieces: a piece times the heads of one kv head fits the kernel's rows. Returns multiply-adds.
    private long PlanTiles(AttentionMetadata metadata, AttentionShape shape)
    {
        var tokensPerTile = Math.Max(1, RowsPerTile / (shape.Heads / shape.KvHeads));
        _tiles.Clear();
        long work = 0;
        var sequences = metadata.Sequences.Span;
        for (var s = 0; s < sequences.Length; s++)
        {
            for (var first = 0; first < sequences[s].TokenCount; first += tokensPerTile)
                _tiles.Add(new(s, first, Math.Min(tokensPerTile, sequences[s].TokenCount - first)));
            work += 2L * sequences[s].TokenCount * sequences[s].ContextLength * shape.Heads * shape.HeadDim;
        }

        return work;
    }

    private static byte* ScalesOf(KvLayerCache cache, int index) => cache.IsScaled ? (byte*)cache.Scales[index].DataPointer() : null;

    // [out, in] → [ceil(out / 32), in, 32]
    private static Tensor PackPanels(Tensor weight, int outFeatures, int inFeatures)
    {
        const int width = PanelMatmulKernel.PanelWidth;
        var panels = PanelCount(outFeatures);
        var packed = empty([panels, inFeatures, width], ScalarType.Float32).DetachFromDisposeScope();
        CpuParallel.For(new PackPanelsKernel { Weight = (float*)weight.DataPointer(), Panels = (float*)packed.DataPointer(), OutFeatures = outFeatures, InFeatures = inFeatures }, panels, grain: 1);
        return packed;
    }

    private Tensor Matvec(Tensor x, LinearWeight weight, PairPanels panels)
    {
        var output = empty([1, weight.OutFeatures], ScalarType.BFloat16);
        var pairs = panels.InputPairs;
        _row.Resize(2 * pairs);
        var source = (ushort*)x.DataPointer();
        var row = _row.Span;
        for (var i = 0; i < weight.InFeatures; i++)
            row[i] = BFloat16Element.ToSingle(source[i]);
        row[weight.InFeatures..].Clear();
        var kernel = new MatvecKernel
        {
            Input = _row.Pointer,
            Panels = (uint*)panels.Address,
            Bias = weight.Bias is null ? null : (ushort*)weight.Bias.DataPointer(),
            Output = (ushort*)output.DataPointer(),
            InputPairs = pairs,
            OutFeatures = weight.OutFeatures,
        };
        CpuParallel.For(kernel, (weight.OutFeatures + MatvecKernel.PanelWidth - 1) / MatvecKernel.PanelWidth, Grain((long)weight.InFeatures * MatvecKernel.PanelWidth));
        return output;
    }

    private static int PanelCount(int outFeatures) => (outFeatures + PanelMatmulKernel.PanelWidth - 1) / PanelMatmulKernel.PanelWidth;

    private static int PaddedHeadDim(AttentionShape shape) => Padded(shape.HeadDim);

    private static int Padded(int headDim) => (headDim + 15) / 16 * 16;

    private static long Grain(long workPerItem) => Math.Max(1, MinWorkPerThread / Math.Max(1, workPerItem));
}
