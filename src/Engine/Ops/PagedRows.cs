using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Tensors of a cache with one row a token, [blocks, block_size, ...], by plain tensor operations: for attention that a device has no
/// kernels for, and for the oracle. It reads the step on the host, so steps that use it cannot be recorded.
/// </summary>
internal static class PagedRows
{
    /// <summary>Stores a row of every token of the step in its slot.</summary>
    /// <param name="cache">[blocks, block_size, ...].</param>
    /// <param name="rows">[tokens, width].</param>
    /// <param name="metadata">The step.</param>
    public static void Store(Tensor cache, Tensor rows, AttentionMetadata metadata)
    {
        using var scope = NewDisposeScope();
        var slots = tensor(metadata.SlotMapping.Span.ToArray(), device: cache.device).to(int64);
        cache.view(-1, rows.shape[1]).index_copy_(0, slots, rows.to(cache.dtype));
    }

    /// <summary>The rows of all positions of a sequence, in order: [context, width].</summary>
    /// <param name="cache">[blocks, block_size, ...].</param>
    /// <param name="sequence">Which.</param>
    /// <param name="metadata">The step.</param>
    public static Tensor Gather(Tensor cache, in SequenceSpan sequence, AttentionMetadata metadata)
    {
        var count = (sequence.ContextLength + AttentionMetadata.BlockSize - 1) / AttentionMetadata.BlockSize;
        using var blocks = tensor(metadata.BlockTables.Span.Slice(sequence.BlockTableStart, count).ToArray(), device: cache.device);
        using var gathered = cache.index_select(0, blocks);
        using var rows = gathered.view(count * AttentionMetadata.BlockSize, -1);
        return rows.narrow(0, 0, sequence.ContextLength);
    }

    /// <summary>Where a sequence's tokens see no key: after their own position, and before their window. [queries, context].</summary>
    public static Tensor HiddenPositions(in SequenceSpan sequence, int? window, Device device)
    {
        var queries = TensorMath.Range(sequence.ContextLength - sequence.TokenCount, sequence.ContextLength, device).unsqueeze(1);
        var keys = TensorMath.Range(0, sequence.ContextLength, device).unsqueeze(0);
        var hidden = keys > queries;
        return window is { } positions ? hidden.logical_or(keys <= queries.Minus(positions)) : hidden;
    }
}
