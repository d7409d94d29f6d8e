using LocalLlm.Execution;
using LocalLlm.Ops;
using TorchSharp;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>What this build does on CPUs only is refused on GPUs by name.</summary>
public class DeviceSupportTests
{
    [Fact]
    public void Experts_are_balanced_on_CPUs_alone()
    {
        var options = new EngineOptions { TensorParallel = 2, EnableExpertParallel = true, ExpertBalancing = new() };
        DeviceSupport.RequireBalancing(options, isCpu: true, "cpu");
        DeviceSupport.RequireBalancing(options with { ExpertBalancing = null }, isCpu: false, "cuda:0");
        AssertRefused(
            () => DeviceSupport.RequireBalancing(options, isCpu: false, "cuda:0"), "enable_eplb",
            "enable_eplb is set, but this build balances experts on CPUs only, and device is cuda:0; leave it out, or set device to cpu.");
    }

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
