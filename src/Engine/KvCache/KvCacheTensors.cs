using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.KvCache;

/// <summary>The memory behind the blocks: one cache per attention layer, all with the same number of blocks.</summary>
internal static class KvCacheTensors
{
    /// <summary>
    /// Allocates the caches of all layers; the caller owns them. The memory is uninitialised: attention never reads a slot that was not
    /// written, and the host commits a page only when it is first written.
    /// </summary>
    /// <param name="ops">The device, which defines a block's memory layout.</param>
    /// <param name="spec">What the model caches.</param>
    /// <param name="blocks">Number of blocks.</param>
    /// <param name="type">Type of the elements: one that the device computes in, or <see cref="KvCacheSpec.Float8"/>.</param>
    public static IReadOnlyList<KvLayerCache> Allocate(IDeviceOps ops, KvCacheSpec spec, int blocks, ScalarType type)
    {
        var caches = new List<KvLayerCache>(spec.Layers.Count);
        try
        {
            foreach (var layer in spec.Layers)
                caches.Add(Allocate(ops, layer, blocks, type));
            return caches;
        }
        catch
        {
            foreach (var cache in caches)
                cache.Dispose();
            throw;
        }
    }

    /// <summary>Allocates the cache of one layer; the caller owns it.</summary>
    public static KvLayerCache Allocate(IDeviceOps ops, KvLayerSpec layer, int blocks, ScalarType type)
    {
        var (tensors, scales) = (new List<Tensor>(), new List<Tensor>());
        try
        {
            foreach (var shape in ops.CacheBlockShapes(layer))
                tensors.Add(empty([blocks, .. shape], type, ops.Device).DetachFromDisposeScope());
            foreach (var tensor in type == KvCacheSpec.Float8 ? layer.Tensors : [])
                scales.Add(empty([blocks, tensor.Heads, AttentionMetadata.BlockSize], type, ops.Device).DetachFromDisposeScope());
            return new(tensors, scales);
        }
        catch
        {
            foreach (var tensor in tensors.Concat(scales))
                tensor.Dispose();
            throw;
        }
    }
}
