using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Reads and writes cache tensors with one row for each token, [blocks, block_size, ...], by plain tensor operations: for attention that a
/// device has no kernels for, and for the oracle. It reads the step on the host; steps that use it cannot be recorded.
/// </summary>
internal static class PagedRows
{
    /// <summary>Stores a row for every token of the step in the token's slot.</summary>
    /// <param name="cache">The layer's cache.</param>
    /// <param name="index">Index among the cache's tensors: [blocks, block_size, heads, width].</param>
    /// <param name="rows">[tokens, heads · width].</param>
    /// <param name="metadata">The step.</param>
    public static void Store(KvLayerCache cache, int index, Tensor rows, AttentionMetadata metadata)
    {
        using var scope = NewDisposeScope();
        var target = cache.Tensors[index];
        var slots = tensor(metadata.SlotMapping.Span.ToArray(), device: target.device).to(int64);
        if (cache.IsScaled)
        {
            var (bytes, scales) = Float8Row.Encode(rows.to(float32).view(-1, target.shape[2], target.shape[3]));
            cache.Scales[index].index_put_(
                scales.to(target.device), Places(slot => slot / AttentionMetadata.BlockSize), TensorIndex.Colon, Places(slot => slot % AttentionMetadata.BlockSize));
            rows = bytes.view(rows.shape).to(target.device);
        }

        target.view(-1, rows.shape[1]).index_copy_(0, slots, rows.to(target.dtype));

        TensorIndex Places(Func<int, long> place) =>
            TensorIndex.Tensor(tensor(metadata.SlotMapping.Span.ToArray().Select(place).ToArray(), device: target.device));
    }

    /// <summary>
    /// The rows of all positions of a sequence, in order: [context, heads · width] in the type of the cache, or in float32 if the cache
    /// holds 8-bit floats.
    /// </summary>
    /// <param name="cache">The layer's cache.</param>
    /// <param name="index">Index among the cache's tensors: [blocks, block_size, heads, width].</param>
    /// <param name="sequence">The sequence.</param>
    /// <param name="metadata">The step.</param>
    public static Tensor Gather(KvLayerCache cache, int index, in SequenceSpan sequence, AttentionMetadata metadata)
    {
        using var scope = NewDisposeScope();
        var count = (sequence.ContextLength + AttentionMetadata.BlockSize - 1) / AttentionMetadata.BlockSize;
        var blocks = tensor(metadata.BlockTables.Span.Slice(sequence.BlockTableStart, count).ToArray(), device: cache.Tensors[index].device);
        var gathered = cache.Tensors[index].index_select(0, blocks);
        if (cache.IsScaled)
            gathered = Float8Row.Decode(gathered, cache.Scales[index].index_select(0, blocks).transpose(1, 2));
        return gathered.view(count * AttentionMetadata.BlockSize, -1).narrow(0, 0, sequence.ContextLength).MoveToOuterDisposeScope();
    }

    /// <summary>[queries, context]: true for keys that a token does not see, after its own position or before its window.</summary>
    public static Tensor HiddenPositions(in SequenceSpan sequence, int? window, Device device)
    {
        var queries = TensorMath.Range(sequence.ContextLength - sequence.TokenCount, sequence.ContextLength, device).unsqueeze(1);
        var keys = TensorMath.Range(0, sequence.ContextLength, device).unsqueeze(0);
        var hidden = keys > queries;
        return window is { } positions ? hidden.logical_or(keys <= queries.Minus(positions)) : hidden;
    }
}
