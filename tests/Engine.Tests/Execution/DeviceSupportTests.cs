using LocalLlm.Ops;
using TorchSharp;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>What this build does on CPUs only is refused on GPUs by name.</summary>
public class DeviceSupportTests
{
    [Fact]
    public void The_KV_cache_has_8_bit_floats_on_CPUs_alone()
    {
        KvCacheDtypes.Require("fp8", torch.CPU);
        AssertRefused(
            () => KvCacheDtypes.Require("fp8_e4m3", new(DeviceType.CUDA, 0)), "kv_cache_dtype",
            "kv_cache_dtype is fp8_e4m3, but this build keeps 8-bit floats in the KV cache of CPUs only, and device is cuda:0; set it to auto.");
    }

    private static void AssertRefused(Action check, string parameter, string message)
    {
        var error = Assert.Throws<EngineException>(check);
        Assert.Equal((EngineErrorKind.InvalidOptions, parameter, message), (error.Kind, error.Parameter, error.Message));
    }
}
