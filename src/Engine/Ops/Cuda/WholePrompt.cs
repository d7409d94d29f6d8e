using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Latent attention of a long sequence that has nothing before it, by <see cref="CudnnAttention"/>. Expands keys and values of some heads
/// at a time, directly into the buffers that attention reads.
/// </summary>
/// <param name="workspace">Buffers for keys and values.</param>
/// <param name="maxBytes">Max bytes of keys that are expanded at once.</param>
/// <param name="rotated">Copies the rotated part, which all heads share.</param>
internal sealed class WholePrompt(CudaWorkspace workspace, long maxBytes, RotatedKeys rotated)
{
    /// <summary>Min number of rows. cuDNN plans each number of rows anew, in some 60 ms, so rows are padded to multiples of this.</summary>
    public const int MinRows = 1024;

    /// <summary>Writes the attention of all rows.</summary>
    /// <param name="queries">[rows, heads · query_dim], rotated.</param>
    /// <param name="weight">Keys as [heads, rank, plain_dim], values as [heads, value_dim, rank].</param>
    /// <param name="context">[rows, rank + rotary_dim] as in the cache.</param>
    /// <param name="shape">Sizes of the layer on this rank.</param>
    /// <param name="output">[rows, heads · value_dim].</param>
    public void Forward(Tensor queries, LatentWeight weight, Tensor context, LatentAttentionShape shape, Tensor output)
    {
        var headsAtOnce = HeadsAtOnce(queries, shape);
        for (var first = 0; first < shape.Heads; first += headsAtOnce)
        {
            using var scope = NewDisposeScope();
            var heads = Math.Min(headsAtOnce, shape.Heads - first);
            Heads(output, first, heads, shape.ValueDim).copy_(Attend(queries, weight, context, shape, first, heads));
        }
    }

    /// <summary>Whether all heads are expanded at once.</summary>
    public bool TakesAll(Tensor queries, LatentAttentionShape shape) => HeadsAtOnce(queries, shape) == shape.Heads;

    /// <summary>The attention of all rows if <see cref="TakesAll"/>, without copying the result.</summary>
    /// <returns>[rows, heads · value_dim], a new tensor.</returns>
    public Tensor ForwardAll(Tensor queries, LatentWeight weight, Tensor context, LatentAttentionShape shape)
    {
        using var scope = NewDisposeScope();
        var attended = Attend(queries, weight, context, shape, 0, shape.Heads);
        return attended.transpose(0, 1).reshape(queries.size(0), -1).MoveToOuterDisposeScope();
    }

    // Attention of some heads: [heads, rows, value_dim].
    private Tensor Attend(Tensor queries, LatentWeight weight, Tensor context, LatentAttentionShape shape, int first, int heads)
    {
        var (tokens, type) = (queries.size(0), queries.dtype);
        var rows = Padded(tokens);
        var latent = context.narrow(1, 0, shape.Rank).unsqueeze(0).expand(heads, -1, -1); // [heads, tokens, rank]
        var keys = workspace.Rent(WorkspaceSlot.Keys, heads * rows, shape.QueryDim, type).view(heads, rows, shape.QueryDim);
        var values = workspace.Rent(WorkspaceSlot.Values, heads * rows, shape.ValueDim, type).view(heads, rows, shape.ValueDim);
        HeadProducts.Multiply(latent, weight.Keys.narrow(0, first, heads), keys.narrow(1, 0, tokens).narrow(2, 0, shape.PlainDim));
        rotated.Spread(context, keys, shape);
        HeadProducts.Multiply(latent, weight.Values.narrow(0, first, heads).transpose(1, 2), values.narrow(1, 0, tokens));
        var asked = Heads(queries, first, heads, shape.QueryDim); // [heads, tokens, query_dim]
        // Reserve even if nothing is padded, and the max for this many rows or fewer: the step that measures memory then includes it.
        var elements = Math.Min(maxBytes / type.ElementSize(), shape.Heads * rows * shape.QueryDim);
        workspace.Reserve(WorkspaceSlot.PaddedQueries, Math.Max(elements, rows * shape.QueryDim), type);
        // Use the layout of the queries: the result gets the same layout and needs no copy.
        var padded = workspace.Rent(WorkspaceSlot.PaddedQueries, rows, heads * shape.QueryDim, type)
            .view(rows, heads, shape.QueryDim).transpose(0, 1);
        if (rows > tokens)
        {
            // No row sees the padding, but a NaN there would still spread to the results.
            keys.narrow(1, tokens, rows - tokens).zero_();
            values.narrow(1, tokens, rows - tokens).zero_();
            padded.narrow(1, 0, tokens).copy_(asked);
            padded.narrow(1, tokens, rows - tokens).zero_();
            asked = padded;
        }

        var attended = CudnnAttention.Forward(asked.unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0), shape.Scale);
        return attended.squeeze(0).narrow(1, 0, tokens);
    }

    private int HeadsAtOnce(Tensor queries, LatentAttentionShape shape) =>
        (int)Math.Clamp(maxBytes / (Padded(queries.size(0)) * shape.QueryDim * queries.dtype.ElementSize()), 1, shape.Heads);

    private static long Padded(long tokens) => (tokens + MinRows - 1) / MinRows * MinRows;

    // Some heads of all rows: [heads, rows, head_dim].
    private static Tensor Heads(Tensor matrix, int first, int heads, int headDim) =>
        matrix.view(matrix.size(0), matrix.size(1) / headDim, headDim).narrow(1, first, heads).transpose(0, 1);
}
