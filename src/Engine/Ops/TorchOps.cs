using LocalLlm.Interop;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Plain ATen on any device: correctness before speed. The oracle of the other implementations.</summary>
/// <param name="device">Where tensors live.</param>
/// <param name="features">Features beyond the primitives; null: none.</param>
internal sealed class TorchOps(Device device, DeviceFeatures? features = null) : IDeviceOps
{
    /// <inheritdoc/>
    public Device Device { get; } = device;

    /// <inheritdoc/>
    public DeviceFeatures Features { get; } = features ?? DeviceFeatures.None;

    /// <inheritdoc/>
    public ScalarType ActivationType(ScalarType computeType) => computeType;

    /// <inheritdoc/>
    public LinearWeight PackLinear(Tensor weight, Tensor? bias, LinearRole role, WeightPacking packing) =>
        new(ToDevice(weight), bias is null ? null : ToDevice(bias), (int)weight.shape[0], (int)weight.shape[1]);

    /// <inheritdoc/>
    public Tensor ToDevice(Tensor weight) => weight.to(Device, copy: true).DetachFromDisposeScope();

    /// <inheritdoc/>
    public Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata) => Ids(inputIds).to(Device);

    /// <summary>Ids as a tensor in the host's memory: [ids] int64, of the current dispose scope.</summary>
    public static Tensor Ids(ReadOnlySpan<int> ids)
    {
        var result = empty([ids.Length], ScalarType.Int64);
        var target = result.data<long>();
        for (var i = 0; i < ids.Length; i++)
            target[i] = ids[i];
        return result;
    }

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
        var scale = wide.Squared().mean([-1], keepdim: true).Plus(epsilon).rsqrt();
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
        var rows = tensor(metadata.PositionRows.Span.ToArray(), device: Device);
        var cos = rotary.Cos.to(Device).index_select(0, rows).unsqueeze(1); // [tokens, 1, head_dim / 2]
        var sin = rotary.Sin.to(Device).index_select(0, rows).unsqueeze(1);
        var half = shape.HeadDim / 2;

        var rotated = qkv.narrow(1, 0, shape.ValueOffset);
        var x = rotated.reshape(tokens, shape.Heads + shape.KvHeads, shape.HeadDim).to(float32);
        var first = x.narrow(2, 0, half);
        var second = x.narrow(2, half, half);
        var result = cat([(first * cos) - (second * sin), (second * cos).Plus(first * sin)], 2);
        rotated.copy_(result.reshape(tokens, shape.ValueOffset));

        var width = shape.KvHeads * shape.HeadDim;
        PagedRows.Store(cache, 0, qkv.narrow(1, shape.KeyOffset, width), metadata);
        PagedRows.Store(cache, 1, qkv.narrow(1, shape.ValueOffset, width), metadata);
    }

    /// <inheritdoc/>
    public Tensor Attention(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
    {
        var output = empty([metadata.TokenCount, shape.Heads * shape.HeadDim], qkv.dtype, Device);
        foreach (var sequence in metadata.Sequences.Span)
        {
            using var scope = NewDisposeScope();
            var query = qkv.narrow(0, sequence.FirstToken, sequence.TokenCount).narrow(1, 0, shape.KeyOffset)
                .reshape(sequence.TokenCount, shape.Heads, shape.HeadDim).transpose(0, 1).to(float32); // [heads, queries, head_dim]
            var keys = Heads(PagedRows.Gather(cache, 0, sequence, metadata), shape); // [heads, context, head_dim]
            var values = Heads(PagedRows.Gather(cache, 1, sequence, metadata), shape);

            var scores = matmul(query, keys.transpose(1, 2)).Times(shape.Scale); // [heads, queries, context]
            var hidden = PagedRows.HiddenPositions(sequence, shape.SlidingWindow, Device);
            var weights = scores.MaskedFill(hidden, float.NegativeInfinity).softmax(-1);
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

    // [context, kv_heads · head_dim] → [heads, context, head_dim]
    private static Tensor Heads(Tensor rows, AttentionShape shape) =>
        rows.view(-1, shape.KvHeads, shape.HeadDim).repeat_interleave(shape.Heads / shape.KvHeads, 1).transpose(0, 1).to(float32);
}
