using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Attention of one sequence's rows by plain tensor operations in float32, for cards without flash attention. Takes one key head and a
/// limited number of rows at a time to bound the memory of the scores.
/// </summary>
internal static class ChunkedAttention
{
    /// <summary>Max number of scores in memory at once; with their copies some 32 MB.</summary>
    public const long MaxScores = 2L << 20;

    /// <summary>Writes the attention of the sequence's last rows. Each attends to the positions up to its own.</summary>
    /// <param name="queries">[rows, heads, head_dim]; only the last two dimensions must be dense.</param>
    /// <param name="keys">[positions, kv_heads, head_dim]; the last ones are those of the rows.</param>
    /// <param name="values">[positions, kv_heads, head_dim].</param>
    /// <param name="shape">Heads, the factor on the scores, and the sliding window.</param>
    /// <param name="output">[rows, heads, head_dim].</param>
    /// <param name="maxScores">Max number of scores in memory at once; those of one row and one key head always are.</param>
    public static void Forward(Tensor queries, Tensor keys, Tensor values, AttentionShape shape, Tensor output, long maxScores = MaxScores)
    {
        var (rows, positions, perKvHead) = (queries.size(0), keys.size(0), shape.Heads / shape.KvHeads);
        var before = positions - rows;
        var atOnce = Math.Clamp(maxScores / (perKvHead * positions), 1, rows);
        for (var kvHead = 0; kvHead < shape.KvHeads; kvHead++)
        {
            using var scope = NewDisposeScope();
            var (ofHead, valuesOfHead) = (keys.select(1, kvHead).to(float32), values.select(1, kvHead).to(float32)); // [positions, head_dim]
            for (var first = 0L; first < rows; first += atOnce)
            {
                using var inner = NewDisposeScope();
                var count = Math.Min(atOnce, rows - first);
                var seen = before + first + count; // by the last of these rows
                var asked = queries.narrow(0, first, count).narrow(1, kvHead * perKvHead, perKvHead).transpose(0, 1).to(float32); // [heads, rows, head_dim]
                var scores = matmul(asked, ofHead.narrow(0, 0, seen).transpose(0, 1)).Times(shape.Scale); // [heads, rows, seen]
                var weights = scores.MaskedFill(Hidden(count, seen, shape.SlidingWindow, queries.device), float.NegativeInfinity).softmax(-1);
                var mixed = matmul(weights, valuesOfHead.narrow(0, 0, seen)); // [heads, rows, head_dim]
                output.narrow(0, first, count).narrow(1, kvHead * perKvHead, perKvHead).copy_(mixed.transpose(0, 1));
            }
        }
    }

    // [rows, seen]: true for positions after a row's own and before its window. The last row sees the last position.
    private static Tensor Hidden(long rows, long seen, int? window, Device device)
    {
        var all = ones([rows, seen], ScalarType.Bool, device);
        var later = all.triu(seen - rows + 1);
        return window is { } positions ? later.logical_or(all.tril(seen - rows - positions)) : later;
    }
}
