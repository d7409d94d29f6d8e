using LocalLlm.Interop;
using LocalLlm.Ops.Cpu;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models;

/// <summary>All weights of a model have one owner, which can release them and load them again; sleep and wake will need this.</summary>
public class SleepTests
{
    [Theory]
    [MemberData(nameof(GoldenLogitsTests.Decoders), MemberType = typeof(GoldenLogitsTests))]
    public void A_model_whose_weights_were_released_computes_the_same_once_they_are_loaded_again(string name)
    {
        TorchLibrary.EnsureLoaded();
        var folder = TestPaths.Shared("goldens", "random", name);
        using var model = new BareModel(folder, new CpuOps(), ScalarType.Float32);
        var ids = new GoldenFile(folder).Cases.First().Ids;
        var before = model.LastLogits(ids);
        model.Weights.Release();
        Assert.Throws<InvalidOperationException>(() => model.LastLogits(ids));
        model.LoadWeights();
        Assert.Equal(before, model.LastLogits(ids));
    }
}
