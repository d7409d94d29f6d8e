using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.KvCache;

/// <summary>What a model says it keeps is what gets allocated and what the planner counts.</summary>
public sealed class KvCacheTensorsTests
{
    private static readonly KvCacheSpec Spec = new([KvLayerSpec.KeysAndValues(2, 24), KvLayerSpec.Rows(40, 12), KvLayerSpec.Rows(7)]);

    [Fact]
    public void Each_tensor_has_a_width_of_its_own()
    {
        TorchLibrary.EnsureLoaded();
        var caches = KvCacheTensors.Allocate(new TorchOps(CPU), Spec, 3, ScalarType.Float32);
        long[][][] expected = [[[3, 16, 2, 24], [3, 16, 2, 24]], [[3, 16, 1, 40], [3, 16, 1, 12]], [[3, 16, 1, 7]]];
        Assert.Equal(expected, caches.Select(cache => cache.Tensors.Select(tensor => tensor.shape).ToArray()));
        foreach (var cache in caches)
            cache.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_planner_counts_what_is_allocated(bool plain)
    {
        TorchLibrary.EnsureLoaded();
        using var cpu = new CpuOps();
        IDeviceOps ops = plain ? new TorchOps(CPU) : cpu;
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16, KvCacheSpec.Float8])
        {
            const int blocks = 5;
            var caches = KvCacheTensors.Allocate(ops, Spec, blocks, type);
            Assert.Equal(caches.SelectMany(cache => cache.Tensors.Concat(cache.Scales)).Sum(tensor => tensor.numel() * tensor.element_size()),
                blocks * Spec.BlockBytes(ops, type));
            foreach (var cache in caches)
                cache.Dispose();
        }
    }
}
