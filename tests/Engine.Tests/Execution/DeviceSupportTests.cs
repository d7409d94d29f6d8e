using LocalLlm.Execution;
using LocalLlm.Ops;
using LocalLlm.Planning;
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
    public void Data_parallel_groups_run_on_CPUs_alone()
    {
        var options = new EngineOptions { DataParallel = 2, EnableExpertParallel = true };
        ParallelPlanner.RequireOneGroup(options, new("cpu", GpuCard.UnlimitedBytes) { IsCpu = true });
        ParallelPlanner.RequireOneGroup(options with { DataParallel = 1 }, KnownCards.Find("H200"));
        AssertRefused(
            () => ParallelPlanner.RequireOneGroup(options, KnownCards.Find("H200")), "data_parallel_size",
            "data_parallel_size is 2, but the device is a GPU (H200-141G): this build runs data-parallel groups on CPUs only; set device to cpu, or data_parallel_size to 1.");
    }

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
