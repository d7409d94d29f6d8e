using LocalLlm.Ops;
using TorchSharp;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>What this build does on CPUs only is refused on GPUs by name.</summary>
public class DeviceSupportTests
{
    [Fact]
    public void Latent_vectors_are_8_bit_floats_on_CPUs_alone()
    {
        var (heads, latent) = (new KvCacheSpec([KvLayerSpec.KeysAndValues(2, 64)]), new KvCacheSpec([KvLayerSpec.Rows(576)]));
        var card = new torch.Device(DeviceType.CUDA, 0);
        KvCacheDtypes.Require("fp8", torch.CPU, latent);
        KvCacheDtypes.Require("fp8", card, heads);
        KvCacheDtypes.Require("auto", card, latent);
        AssertRefused(
            () => KvCacheDtypes.Require("fp8_e4m3", card, latent), "kv_cache_dtype",
            "kv_cache_dtype is fp8_e4m3, but this build keeps latent vectors as 8-bit floats in the KV cache of CPUs only, and device is cuda:0; set it to auto.");
    }

    private static void AssertRefused(Action check, string parameter, string message)
    {
        var error = Assert.Throws<EngineException>(check);
        Assert.Equal((EngineErrorKind.InvalidOptions, parameter, message), (error.Kind, error.Parameter, error.Message));
    }
}
