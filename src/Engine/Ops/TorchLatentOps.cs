using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Latent attention by plain ATen on any device, absorbed (arXiv 2405.04434, 2.1.2): queries are projected into the space of the latent
/// vectors, so no keys or values are computed. Reads the step on the host.
/// </summary>
internal sealed class TorchLatentOps(Device device) : ILatentOps
{
    /// <inheritdoc/>
    public LatentWeight Pack(Tensor projection, LatentAttentionShape shape)
    {
        using var scope = NewDisposeScope();
        var heads = projection.to(device).view(shape.Heads, shape.PlainDim + shape.ValueDim, shape.Rank);
        return new(
            heads.narrow(1, 0, shape.PlainDim).clone().DetachFromDisposeScope(),
            heads.narrow(1, shape.PlainDim, shape.ValueDim).clone().DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public void RotateAndStore(
        Tensor queries, Tensor rows, int column, Tensor normWeight, float epsilon, RotaryTable rotary, KvLayerCache cache,
        AttentionMetadata metadata, LatentAttentionShape shape)
    {
        using var scope = NewDisposeScope();
        long tokens = metadata.TokenCount;
        var positions = tensor(metadata.PositionRows.Span.ToArray(), device: device);
        var cos = rotary.Cos.to(device).index_select(0, positions).unsqueeze(1); // [tokens, 1, rotary_dim / 2]
        var sin = rotary.Sin.to(device).index_select(0, positions).unsqueeze(1);

        var turned = queries.view(tokens, shape.Heads, shape.QueryDim).narrow(2, shape.PlainDim, shape.RotaryDim);
        turned.copy_(Rotate(turned.to(float32), cos, sin, shape.Interleaved));

        var latent = rows.narrow(1, column, shape.Rank).to(float32);
        var scale = latent.Squared().mean([-1], keepdim: true).Plus(epsilon).rsqrt();
        var normed = latent * scale * normWeight.to(float32);
        var key = Rotate(rows.narrow(1, column + shape.Rank, shape.RotaryDim).to(float32).unsqueeze(1), cos, sin, shape.Interleaved).squeeze(1);
        PagedRows.Store(cache, 0, cat([normed, key], 1), metadata);
    }

    /// <inheritdoc/>
    public Tensor Attention(Tensor queries, LatentWeight weight, KvLayerCache cache, AttentionMetadata metadata, LatentAttentionShape shape)
    {
        var output = empty([metadata.TokenCount, (long)shape.Heads * shape.ValueDim], queries.dtype, device);
        foreach (var sequence in metadata.Sequences.Span)
        {
            using var scope = NewDisposeScope();
            var query = queries.narrow(0, sequence.FirstToken, sequence.TokenCount)
                .view(sequence.TokenCount, shape.Heads, shape.QueryDim).transpose(0, 1).to(float32); // [heads, queries, query_dim]
            var rows = PagedRows.Gather(cache, 0, sequence, metadata).to(float32); // [context, rank + rotary_dim]
            var absorbed = cat(
                [matmul(query.narrow(2, 0, shape.PlainDim), weight.Keys.to(float32)), query.narrow(2, shape.PlainDim, shape.RotaryDim)], 2);

            var scores = matmul(absorbed, rows.t()).Times(shape.Scale); // [heads, queries, context]
            var hidden = PagedRows.HiddenPositions(sequence, window: null, device);
            var weights = scores.MaskedFill(hidden, float.NegativeInfinity).softmax(-1);
            var mixed = matmul(weights, rows.narrow(1, 0, shape.Rank)); // [heads, queries, rank]
            var values = matmul(mixed, weight.Values.to(float32).transpose(1, 2)); // [heads, queries, value_dim]
            output.narrow(0, sequence.FirstToken, sequence.TokenCount)
                .copy_(values.transpose(0, 1).reshape(sequence.TokenCount, (long)shape.Heads * shape.ValueDim));
        }

        return output;
    }

    /// <summary>
    /// The same attention, expanded: computes keys and values of all heads from the latent vectors, one chunk of positions at a time, and
    /// merges the results of the chunks by the logarithms of the sums of their weights.
    /// </summary>
    /// <param name="queries">[tokens, heads · (plain_dim + rotary_dim)].</param>
    /// <param name="weight">Result of <see cref="Pack"/>.</param>
    /// <param name="cache">The layer's cache.</param>
    /// <param name="metadata">The step.</param>
    /// <param name="shape">Sizes of the layer on this rank.</param>
    /// <param name="chunk">Number of positions of a chunk.</param>
    public Tensor ExpandedAttention(
        Tensor queries, LatentWeight weight, KvLayerCache cache, AttentionMetadata metadata, LatentAttentionShape shape, int chunk)
    {
        var output = empty([metadata.TokenCount, (long)shape.Heads * shape.ValueDim], queries.dtype, device);
        foreach (var sequence in metadata.Sequences.Span)
        {
            using var scope = NewDisposeScope();
            var query = queries.narrow(0, sequence.FirstToken, sequence.TokenCount)
                .view(sequence.TokenCount, shape.Heads, shape.QueryDim).transpose(0, 1).to(float32); // [heads, queries, query_dim]
            var rows = PagedRows.Gather(cache, 0, sequence, metadata).to(float32); // [context, rank + rotary_dim]
            var hidden = PagedRows.HiddenPositions(sequence, window: null, device);
            var merged = zeros([shape.Heads, sequence.TokenCount, shape.ValueDim], float32, device);
            var logSum = zeros([shape.Heads, sequence.TokenCount, 1], float32, device).log(); // of nothing
            for (var first = 0; first < sequence.ContextLength; first += chunk)
            {
                var count = Math.Min(chunk, sequence.ContextLength - first);
                var (values, sum) = OfChunk(query, rows.narrow(0, first, count), hidden.narrow(1, first, count), weight, shape);
                var total = logSum.logaddexp(sum); // every token sees the first position, so this is a number
                merged = (merged * (logSum - total).exp()).Plus(values * (sum - total).exp());
                logSum = total;
            }

            output.narrow(0, sequence.FirstToken, sequence.TokenCount)
                .copy_(merged.transpose(0, 1).reshape(sequence.TokenCount, (long)shape.Heads * shape.ValueDim));
        }

        return output;
    }

    // Attention to a chunk of positions [heads, queries, value_dim], and the logarithms of the sums of its weights [heads, queries, 1].
    private static (Tensor Values, Tensor LogSum) OfChunk(
        Tensor query, Tensor rows, Tensor hidden, LatentWeight weight, LatentAttentionShape shape)
    {
        var latent = rows.narrow(1, 0, shape.Rank);
        var rotary = rows.narrow(1, shape.Rank, shape.RotaryDim).unsqueeze(0).expand(shape.Heads, rows.size(0), shape.RotaryDim);
        var keys = cat([matmul(latent, weight.Keys.to(float32).transpose(1, 2)), rotary], 2); // [heads, positions, query_dim]
        var values = matmul(latent, weight.Values.to(float32).transpose(1, 2)); // [heads, positions, value_dim]
        var scores = matmul(query, keys.transpose(1, 2)).Times(shape.Scale).MaskedFill(hidden, float.NegativeInfinity);
        var logSum = scores.logsumexp(-1, true);
        // A token that sees none of the positions would get NaN weights: they become 0.
        return (matmul((scores - logSum).exp().MaskedFill(hidden, 0), values), logSum);
    }

    // [tokens, heads, rotary_dim]
    private static Tensor Rotate(Tensor x, Tensor cos, Tensor sin, bool interleaved)
    {
        var half = x.size(2) / 2;
        var (first, second) = interleaved
            ? (x.view(x.size(0), x.size(1), half, 2).select(3, 0), x.view(x.size(0), x.size(1), half, 2).select(3, 1))
            : (x.narrow(2, 0, half), x.narrow(2, half, half));
        var (a, b) = ((first * cos) - (second * sin), (second * cos).Plus(first * sin));
        return interleaved ? stack([a, b], 3).reshape(x.size(0), x.size(1), 2 * half) : cat([a, b], 2);
    }
}
