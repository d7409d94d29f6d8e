using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.KvCache;

/// <summary>The memory behind the blocks: one cache per attention layer, all with the same number of blocks.</summary>
internal static class KvCacheTensors
{
    /// <summary>Allocates the caches of all layers; the caller owns them.</summary>
    public static IReadOnlyList<KvLayerCache> Allocate(IDeviceOps ops, IReadOnlyList<AttentionShape> shapes, int blocks, ScalarType type) =>
        [.. shapes.Select(shape => ops.AllocateCache(blocks, shape, type))];

    /// <summary>Bytes of one block over all layers.</summary>
    public static long BlockBytes(IDeviceOps ops, IReadOnlyList<AttentionShape> shapes, ScalarType type) =>
        shapes.Sum(shape => ops.CacheBlockBytes(shape, type));
}
