using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>What one layer keeps of the tokens in its blocks, as its <see cref="KvLayerSpec"/> says; owns its tensors.</summary>
internal sealed class KvLayerCache(params IReadOnlyList<Tensor> tensors) : IDisposable
{
    /// <summary>One for each of <see cref="KvLayerSpec.Tensors"/>.</summary>
    public IReadOnlyList<Tensor> Tensors { get; } = tensors;

    /// <summary>All blocks of the first tensor: the keys.</summary>
    public Tensor Keys => Tensors[0];

    /// <summary>All blocks of the second tensor: the values.</summary>
    public Tensor Values => Tensors[1];

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in Tensors)
            tensor.Dispose();
    }
}
