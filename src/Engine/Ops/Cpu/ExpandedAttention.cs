using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Latent attention of sequences with many new tokens. Computes keys and values of the context chunk by chunk, in float32; all of the
/// sequence's tokens attend to a chunk before the next one is computed. Among steps that expand a prompt, a token's result has the same
/// bits however the prompt was cut; absorbed attention gives other bits.
/// </summary>
internal sealed unsafe class ExpandedAttention : IDisposable
{
    // Fewer multiply-adds than this take less time than waking a second thread.
    private const long MinWorkPerThread = 500_000;

    // Fewer tokens do not fill the kernels.
    private const int MinTokens = 32;

    private readonly NativeBuffer<int> _nextItem = new();

    /// <summary>
    /// Whether a sequence takes less time expanded. Absorbed attention multiplies latent vectors for every pair of positions, and projects
    /// every token into their space and back. Expanded attention computes keys and values of every position of the context.
    /// </summary>
    public static bool Pays(SequenceSpan sequence, LatentAttentionShape shape)
    {
        long tokens = sequence.TokenCount, context = sequence.ContextLength;
        if (tokens < MinTokens)
            return false;
        var pairs = tokens * (context - (tokens / 2));
        long projection = (long)shape.Rank * (shape.PlainDim + shape.ValueDim);
        var absorbed = (pairs * (shape.RowWidth + shape.Rank)) + (tokens * projection);
        var expanded = (pairs * (shape.QueryDim + shape.ValueDim)) + (context * projection);
        return expanded < absorbed;
    }

    /// <summary>Bytes for a chunk's keys and values and each thread's scratch memory, without what every new token takes.</summary>
    public static long WorkspaceBytes(LatentAttentionShape shape, int threads)
    {
        var chunk = ExpandedChunk.Of(shape);
        var ofThread = Math.Max(
            (long)shape.Rank * Math.Max(shape.PlainDim, ExpandedChunk.Lanes), ExpandedAttentionKernel.ScratchFloats(chunk.Capacity));
        return sizeof(float) * (chunk.Floats + (threads * ofThread));
    }

    /// <summary>Attention of one sequence's tokens.</summary>
    /// <param name="queries">[tokens of the step, heads · query_dim] float32.</param>
    /// <param name="output">[tokens of the step, heads · value_dim] in the activation type.</param>
    /// <param name="weight">As <see cref="CpuLatentOps"/> packs it.</param>
    /// <param name="cache">The layer's cache.</param>
    /// <param name="sequence">The sequence.</param>
    /// <param name="metadata">The step.</param>
    /// <param name="shape">Sizes of the layer on this rank.</param>
    public void Attend(
        Tensor queries, Tensor output, LatentWeight weight, KvLayerCache cache, SequenceSpan sequence, AttentionMetadata metadata,
        LatentAttentionShape shape)
    {
        using var scope = NewDisposeScope();
        var chunk = ExpandedChunk.Of(shape);
        chunk.Place((float*)empty([chunk.Floats], ScalarType.Float32).DataPointer());
        long rows = (long)shape.Heads * sequence.TokenCount;
        var width = chunk.ValuePanels * ExpandedChunk.Lanes;
        var accumulated = (float*)zeros([rows, width], ScalarType.Float32).DataPointer();
        var sums = (float*)zeros([rows], ScalarType.Float32).DataPointer();
        var maxima = (float*)empty([rows], ScalarType.Float32).DataPointer();
        new Span<float>(maxima, (int)rows).Fill(float.NegativeInfinity);
        _nextItem.Resize(1);
        for (var first = 0; first < sequence.ContextLength; first += chunk.Capacity)
        {
            (chunk.First, chunk.Count) = (first, Math.Min(chunk.Capacity, sequence.ContextLength - first));
            Load(chunk, cache, metadata.BlockTables.Pointer + sequence.BlockTableStart);
            Expand(chunk, weight);
            var kernel = new ExpandedAttentionKernel
            {
                Chunk = chunk,
                Queries = (float*)queries.DataPointer() + ((long)sequence.FirstToken * shape.Heads * shape.QueryDim),
                Maxima = maxima,
                Sums = sums,
                Accumulated = accumulated,
                Tokens = sequence.TokenCount,
                FirstPosition = sequence.ContextLength - sequence.TokenCount,
                Scale = shape.Scale,
                NextItem = _nextItem.Pointer,
            };
            _nextItem.Span[0] = 0;
            CpuParallel.For(kernel, Threads(rows * chunk.Count * (shape.QueryDim + shape.ValueDim)), grain: 1);
        }

        if (output.dtype == ScalarType.Float32)
            Finish<float, Float32Element>(output, accumulated, sums, width, sequence, shape);
        else
            Finish<ushort, BFloat16Element>(output, accumulated, sums, width, sequence, shape);
    }

    /// <inheritdoc/>
    public void Dispose() => _nextItem.Dispose();

    private static void Load(ExpandedChunk chunk, KvLayerCache cache, int* blocks)
    {
        if (cache.IsScaled)
            Load<byte, Float8Element>(chunk, cache, blocks);
        else if (cache.Tensors[0].dtype == ScalarType.Float32)
            Load<float, Float32Element>(chunk, cache, blocks);
        else
            Load<ushort, BFloat16Element>(chunk, cache, blocks);
    }

    private static void Load<T, TElement>(ExpandedChunk chunk, KvLayerCache cache, int* blocks)
        where T : unmanaged
        where TElement : struct, ICacheElement<T>
    {
        var kernel = new LoadChunkKernel<T, TElement>
        {
            Chunk = chunk, Cache = (T*)cache.Tensors[0].DataPointer(), Scales = cache.IsScaled ? (byte*)cache.Scales[0].DataPointer() : null, Blocks = blocks,
        };
        const int costPerElement = 4;
        CpuParallel.For(
            kernel, chunk.Panels * (ExpandedChunk.Lanes / AttentionMetadata.BlockSize),
            Math.Max(1, MinWorkPerThread / ((long)costPerElement * AttentionMetadata.BlockSize * (chunk.Rank + chunk.RotaryDim))));
    }

    private static void Expand(ExpandedChunk chunk, LatentWeight weight)
    {
        var work = (long)chunk.Panels * ExpandedChunk.Lanes * chunk.Rank * Math.Min(chunk.PlainDim, chunk.ValueDim);
        var grain = Math.Max(1, MinWorkPerThread / Math.Max(1, work));
        if (weight.Keys.dtype == ScalarType.Float32)
        {
            CpuParallel.For(
                new ExpandKernel<float, Float32Element>
                {
                    Chunk = chunk, Keys = (float*)weight.Keys.DataPointer(), Values = (float*)weight.Values.DataPointer(),
                }, 2L * chunk.Heads, grain);
        }
        else
        {
            CpuParallel.For(
                new ExpandKernel<ushort, BFloat16Element>
                {
                    Chunk = chunk, Keys = (ushort*)weight.Keys.DataPointer(), Values = (ushort*)weight.Values.DataPointer(),
                }, 2L * chunk.Heads, grain);
        }
    }

    private static void Finish<T, TElement>(Tensor output, float* accumulated, float* sums, int width, SequenceSpan sequence, LatentAttentionShape shape)
        where T : unmanaged
        where TElement : struct, IElement<T>
    {
        var kernel = new FinishAttentionKernel<T, TElement>
        {
            Accumulated = accumulated,
            Sums = sums,
            Output = (T*)output.DataPointer() + ((long)sequence.FirstToken * shape.Heads * shape.ValueDim),
            Heads = shape.Heads,
            Tokens = sequence.TokenCount,
            Width = width,
            ValueDim = shape.ValueDim,
        };
        CpuParallel.For(kernel, sequence.TokenCount, Math.Max(1, MinWorkPerThread / ((long)shape.Heads * shape.ValueDim)));
    }

    private static long Threads(long work) => Math.Clamp(work / MinWorkPerThread, 1, CpuParallel.ThreadCount);
}
