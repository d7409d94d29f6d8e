using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.KvCache;

/// <summary>The memory behind the blocks: one cache per attention layer, all with the same number of blocks.</summary>
internal static class KvCacheTensors
{
    /// <summary>Allocates the caches of all layers; the caller owns them.</summary>
    public static IReadOnlyList<KvLayerCache> Allocate(IDeviceOps ops, IReadOnlyList<AttentionShape> shapes, int blocks, ScalarType type)
    {
        var caches = new List<KvLayerCache>(shapes.Count);
        try
        {
            foreach (var shape in shapes)
                caches.Add(ops.AllocateCache(blocks, shape, type));
            return caches;
        }
        catch
        {
            foreach (var cache in caches)
                cache.Dispose();
            throw;
        }
    }

    /// <summary>Bytes of one block over all layers.</summary>
    public static long BlockBytes(IDeviceOps ops, IReadOnlyList<AttentionShape> shapes, ScalarType type) =>
        shapes.Sum(shape => ops.CacheBlockBytes(shape, type));
}
