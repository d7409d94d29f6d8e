using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>The blocks of one layer's cache, with the contents that <see cref="KvLayerSpec"/> describes; owns its tensors.</summary>
/// <param name="tensors">One for each of <see cref="KvLayerSpec.Tensors"/>.</param>
/// <param name="scales">One for each of the tensors if they hold 8-bit floats, else none.</param>
internal sealed class KvLayerCache(IReadOnlyList<Tensor> tensors, IReadOnlyList<Tensor> scales) : IDisposable
{
    /// <summary>One for each of <see cref="KvLayerSpec.Tensors"/>.</summary>
    public IReadOnlyList<Tensor> Tensors { get; } = tensors;

    /// <summary>
    /// The scales of each token's heads (<see cref="Float8Row"/>), [blocks, heads, block_size] on every device: one tensor for each of
    /// <see cref="Tensors"/> if those hold 8-bit floats, else none.
    /// </summary>
    public IReadOnlyList<Tensor> Scales { get; } = scales;

    /// <summary>Whether elements are 8-bit floats with scales.</summary>
    public bool IsScaled => Scales.Count > 0;

    /// <summary>All blocks of the first tensor: the keys.</summary>
    public Tensor Keys => Tensors[0];

    /// <summary>All blocks of the second tensor: the values.</summary>
    public Tensor Values => Tensors[1];

    /// <summary>Scales of the keys; null: the cache has the type of the computation.</summary>
    public Tensor? KeyScales => IsScaled ? Scales[0] : null;

    /// <summary>Scales of the values; null: the cache has the type of the computation.</summary>
    public Tensor? ValueScales => IsScaled ? Scales[1] : null;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in Tensors.Concat(Scales))
            tensor.Dispose();
    }
}
