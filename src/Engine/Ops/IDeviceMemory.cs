using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Memory of a device that is not the host's.</summary>
internal interface IDeviceMemory
{
    /// <summary>As it is now.</summary>
    DeviceMemory Now { get; }

    /// <summary>The way for weights to the device. The caller disposes it.</summary>
    IWeightStaging CreateStaging();

    /// <summary>
    /// Makes room for attention over contexts of up to <paramref name="maxModelLen"/> positions of such a layer and for sampling
    /// <paramref name="maxSequences"/> rows, so that no step has to.
    /// </summary>
    void Reserve(KvLayerSpec layer, ScalarType type, int maxModelLen, int maxSequences);

    /// <summary>What is there has its final size: what grows from here on is noted for <see cref="TakeGrowth"/>.</summary>
    void Settle();

    /// <summary>
    /// The buffers that have grown since <see cref="Settle"/>, or since this was asked before; null: none has, as it should be. Their
    /// memory was not planned for, and recorded steps may have been dropped.
    /// </summary>
    string? TakeGrowth();

    /// <summary>Gives back what was taken for tensors that are gone.</summary>
    void ReleaseUnused();
}
