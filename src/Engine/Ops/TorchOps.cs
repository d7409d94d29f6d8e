using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Plain ATen on any device: right before fast, and the oracle of the other implementations.</summary>
internal sealed class TorchOps(Device device) : IDeviceOps
{
    /// <inheritdoc/>
    public Device Device { get; } = device;

    /// <inheritdoc/>
    public ScalarType ActivationType(ScalarType computeType) => computeType;

    /// <inheritdoc/>
    public bool KeepDecodeCopies { get; set; }

    /// <inheritdoc/>
    public bool GainsFromDecodeCopies(ScalarType activationType) => false;

    /// <inheritdoc/>
    public LinearWeight PackLinear(Tensor weight, Tensor? bias, LinearRole role) =>
        new(weight.clone().DetachFromDisposeScope(), bias?.clone().DetachFromDisposeScope(), (int)weight.shape[0], (int)weight.shape[1]);

    /// <inheritdoc/>
    public Tensor Linear(Tensor x, LinearWeight weight) => nn.functional.linear(x, weight.Data, weight.Bias);

    /// <inheritdoc/>
    public Tensor Embedding(Tensor ids, Tensor table) => table.index_select(0, ids);

    /// <inheritdoc/>
    public Tensor SelectRows(Tensor x, ReadOnlySpan<int> indices)
    {
        using var rows = tensor(indices.ToArray(), device: Device);
        return x.index_select(0, rows);
    }

    /// <inheritdoc/>
    public Tensor RmsNorm(Tensor x, Tensor weight, float epsilon)
    {
        var wide = x.to(float32);
        var scale = (wide.square().mean([-1], keepdim: true) + epsilon).rsqrt();
        return (wide * scale * weight.to(float32)).to(x.dtype);
    }

    /// <inheritdoc/>
    public void RmsNormHeads(Tensor qkv, Tensor weight, int firstColumn, int heads, float epsilon)
    {
        var headDim = weight.shape[0];
        var part = qkv.narrow(1, firstColumn, heads * headDim);
        var view = part.reshape(qkv.shape[0], heads, headDim); // [tokens, heads, head_dim]
        part.copy_(RmsNorm(view, weight, epsilon).reshape(qkv.shape[0], heads * headDim));
    }

    /// <inheritdoc/>
    public void RotaryAndCache(Tensor qkv, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
    {
        using var scope = NewDisposeScope();
        long tokens = metadata.TokenCount;
        var rows = tensor(metadata.RotaryRows.Span.ToArray(), device: Device);
        var cos = rotary.Cos.index_select(0, rows).unsqueeze(1); // [tokens, 1, head_dim / 2]
        var sin = rotary.Sin.index_select(0, rows).unsqueeze(1);
        var half = shape.HeadDim / 2;

        var rotated = qkv.narrow(1, 0, shape.ValueOffset);
        var x = rotated.reshape(tokens, shape.Heads + shape.KvHeads, shape.HeadDim).to(float32);
        var first = x.narrow(2, 0, half);
        var second = x.narrow(2, half, half);
        var result = cat([(first * cos) - (second * sin), (second * cos) + (first * sin)], 2);
        rotated.copy_(result.reshape(tokens, shape.ValueOffset));

        var slots = tensor(metadata.SlotMapping.Span.ToArray(), device: Device).to(int64);
        var keys = qkv.narrow(1, shape.KeyOffset, shape.KvHeads * shape.HeadDim).reshape(tokens, shape.KvHeads, shape.HeadDim);
        var values = qkv.narrow(1, shape.ValueOffset, shape.KvHeads * shape.HeadDim).reshape(tokens, shape.KvHeads, shape.HeadDim);
        cache.Keys.view(-1, shape.KvHeads, shape.HeadDim).index_copy_(0, slots, keys);
        cache.Values.view(-1, shape.KvHeads, shape.HeadDim).index_copy_(0, slots, values);
    }

    /// <inheritdoc/>
    public Tensor Attention(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
    {
        var output = empty([metadata.TokenCount, shape.Heads * shape.HeadDim], qkv.dtype, Device);
        foreach (var sequence in metadata.Sequences.Span)
        {
            using var scope = NewDisposeScope();
            var blockCount = (sequence.ContextLength + AttentionMetadata.BlockSize - 1) / AttentionMetadata.BlockSize;
            var blocks = tensor(metadata.BlockTables.Span.Slice(sequence.BlockTableStart, blockCount).ToArray(), device: Device);
            var query = qkv.narrow(0, sequence.FirstToken, sequence.TokenCount).narrow(1, 0, shape.KeyOffset)
                .reshape(sequence.TokenCount, shape.Heads, shape.HeadDim).transpose(0, 1).to(float32); // [heads, queries, head_dim]
            var keys = Gather(cache.Keys, blocks, sequence.ContextLength, shape); // [heads, context, head_dim]
            var values = Gather(cache.Values, blocks, sequence.ContextLength, shape);

            var scores = matmul(query, keys.transpose(1, 2)) * shape.Scale; // [heads, queries, context]
            var queryPositions = arange(sequence.ContextLength - sequence.TokenCount, sequence.ContextLength, device: Device).unsqueeze(1);
            var keyPositions = arange(0, sequence.ContextLength, device: Device).unsqueeze(0);
            var hidden = keyPositions > queryPositions;
            if (shape.SlidingWindow is { } window)
                hidden = hidden.logical_or(keyPositions <= queryPositions - window);
            var weights = scores.masked_fill(hidden, float.NegativeInfinity).softmax(-1);
            var mixed = matmul(weights, values).transpose(0, 1).reshape(sequence.TokenCount, shape.Heads * shape.HeadDim);
            output.narrow(0, sequence.FirstToken, sequence.TokenCount).copy_(mixed);
        }

        return output;
    }

    /// <inheritdoc/>
    public Tensor SiluAndMul(Tensor gateUp)
    {
        var width = gateUp.shape[1] / 2;
        return (nn.functional.silu(gateUp.narrow(1, 0, width).to(float32)) * gateUp.narrow(1, width, width).to(float32)).to(gateUp.dtype);
    }

    private static Tensor Gather(Tensor cache, Tensor blocks, int contextLength, AttentionShape shape) =>
        cache.index_select(0, blocks).reshape(-1, shape.KvHeads, shape.HeadDim).narrow(0, 0, contextLength)
            .repeat_interleave(shape.Heads / shape.KvHeads, 1).transpose(0, 1).to(float32);
}
