using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Memory of a device that is not the host's.</summary>
internal interface IDeviceMemory
{
    /// <summary>The current state.</summary>
    DeviceMemory Now { get; }

    /// <summary>Creates what brings weights to the device. The caller disposes it.</summary>
    IWeightStaging CreateStaging();

    /// <summary>
    /// Allocates the buffers for attention in such a layer over contexts of up to <paramref name="maxModelLen"/> positions, and for
    /// sampling <paramref name="maxSequences"/> rows. No step has to allocate them later.
    /// </summary>
    void Reserve(KvLayerSpec layer, ScalarType type, int maxModelLen, int maxSequences);

    /// <summary>Declares that all buffers have their final size. Those that grow later are reported by <see cref="TakeGrowth"/>.</summary>
    void Settle();

    /// <summary>
    /// The buffers that have grown since <see cref="Settle"/> or the last call; null: none, as it should be. The growth was not planned
    /// for, and may have caused recorded steps to be dropped.
    /// </summary>
    string? TakeGrowth();

    /// <summary>Releases the memory of disposed tensors, for other processes.</summary>
    void ReleaseUnused();
}
