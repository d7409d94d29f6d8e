using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Keys and values of one layer in paged blocks. The layout belongs to the <see cref="IDeviceOps"/> that allocated it.</summary>
internal sealed class KvLayerCache(Tensor keys, Tensor values) : IDisposable
{
    /// <summary>All blocks of keys.</summary>
    public Tensor Keys { get; } = keys;

    /// <summary>All blocks of values.</summary>
    public Tensor Values { get; } = values;

    /// <inheritdoc/>
    public void Dispose()
    {
        Keys.Dispose();
        Values.Dispose();
    }
}
