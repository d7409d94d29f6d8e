using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Who reads the tensors of a layer's cache and therefore decides their layout.</summary>
internal enum KvLayout
{
    /// <summary><see cref="IDeviceOps.Attention"/>: the device's own layout (<see cref="IDeviceOps.CacheBlockShapes"/>).</summary>
    Device,

    /// <summary>The model: one row for each token, [blocks, block_size, heads, width] (<see cref="PagedRows"/>).</summary>
    Rows,
}

/// <summary>What a token stores in one tensor of a layer's cache.</summary>
/// <param name="Heads">Heads on this rank.</param>
/// <param name="Width">Elements of a head.</param>
internal readonly record struct KvTensorSpec(int Heads, int Width);

/// <summary>What one layer stores for every token, on this rank.</summary>
/// <param name="Tensors">One for each tensor; widths may differ.</param>
/// <param name="Layout">Who reads the tensors.</param>
internal sealed record KvLayerSpec(IReadOnlyList<KvTensorSpec> Tensors, KvLayout Layout)
{
    /// <summary>Keys and values of the same width, for <see cref="IDeviceOps.Attention"/>.</summary>
    public static KvLayerSpec KeysAndValues(int kvHeads, int headDim) =>
        new([new(kvHeads, headDim), new(kvHeads, headDim)], KvLayout.Device);

    /// <summary>Rows that the model's own attention reads, such as one latent vector, or keys and values of unequal width.</summary>
    public static KvLayerSpec Rows(params IReadOnlyList<int> widths) =>
        new([.. widths.Select(width => new KvTensorSpec(1, width))], KvLayout.Rows);
}

/// <summary>What a model stores for every token: all that the cache, the planner and the scheduler know of the model.</summary>
/// <param name="Layers">One per attention layer, in the order of the caches.</param>
internal sealed record KvCacheSpec(IReadOnlyList<KvLayerSpec> Layers)
{
    /// <summary>
    /// The element type that stands for 8-bit floats. Each head of each token then has a scale of one byte (<see cref="Float8Row"/>).
    /// </summary>
    public const ScalarType Float8 = ScalarType.Byte;

    /// <summary>Bytes of one block over all tensors of all layers.</summary>
    /// <param name="ops">The device, for its layout.</param>
    /// <param name="type">Element type: that of the computation, or <see cref="Float8"/>.</param>
    public long BlockBytes(IDeviceOps ops, ScalarType type)
    {
        var elements = Layers.Sum(layer => ops.CacheBlockShapes(layer).Sum(shape => shape.Aggregate(1L, (product, size) => product * size)));
        return type == Float8
            ? elements + Layers.Sum(layer => layer.Tensors.Sum(tensor => (long)AttentionMetadata.BlockSize * tensor.Heads))
            : elements * type.ElementSize();
    }
}
