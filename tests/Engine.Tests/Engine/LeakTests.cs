using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Engine;

/// <summary>Counts the tensors of the whole process, so no other test may run at the same time.</summary>
[Collection(nameof(RunsAlone))]
public class LeakTests
{
    [Fact]
    public async Task After_a_run_all_blocks_are_free_and_no_tensor_is_left()
    {
        await using var engine = await TinyEngine.LoadAsync();
        await TinyEngine.RunAsync(engine, TinyEngine.Requests(20, 10));
        var tensors = Tensor.TotalCount;
        for (var round = 0; round < 3; round++)
            await TinyEngine.RunAsync(engine, TinyEngine.Requests(60, 25, seed: round));
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
        Assert.Equal(tensors, Tensor.TotalCount);
    }
}

/// <summary>Tests that must not run at the same time as any other test.</summary>
[CollectionDefinition(nameof(RunsAlone), DisableParallelization = true)]
public sealed class RunsAlone;
