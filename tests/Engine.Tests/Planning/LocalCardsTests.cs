using LocalLlm.Planning;
using Xunit;

namespace LocalLlm.Tests.Planning;

public class LocalCardsTests
{
    private static readonly GpuCard s_large = new("large", 48L << 30);
    private static readonly GpuCard s_small = new("small", 24L << 30);

    [Fact]
    public void Ranks_on_cards_of_their_own_have_all_of_their_memory() =>
        AreSpread(new() { TensorParallel = 2, Devices = ["cuda:0", "cuda:1"] }, [s_large, s_large], null, s_large);

    [Fact]
    public void A_card_that_is_named_is_planned_with_though_another_is_smaller()
    {
        AreSpread(new() { Device = "cuda:1" }, [s_small, s_large], null, s_large);
        AreSpread(new() { Devices = ["cuda:1"] }, [s_small, s_large], null, s_large);
        AreSpread(new() { Device = "cuda:0" }, [s_small, s_large], null, s_small);
    }

    [Fact]
    public void Ranks_that_share_a_card_share_its_memory()
    {
        AreSpread(new() { TensorParallel = 2, Device = "cuda:0" }, [s_large, s_small], null, s_large with { MemoryBytes = s_large.MemoryBytes / 2 });
        AreSpread(new() { TensorParallel = 2, Devices = ["cuda", "cuda:0"] }, [s_large, s_small], null, s_large with { MemoryBytes = s_large.MemoryBytes / 2 });
    }

    [Fact]
    public void Of_a_stages_unlike_cards_the_smallest_decides() =>
        AreSpread(new() { TensorParallel = 2, Device = "cuda" }, [s_large, s_small], 2, s_small);

    [Fact]
    public void Stages_on_unlike_cards_have_one_each()
    {
        AreSpread(new() { PipelineParallel = 2 }, [s_large, s_small], 2, s_large, s_small);
        AreSpread(new() { PipelineParallel = 2, TensorParallel = 2, Devices = ["cuda:0", "cuda:0", "cuda:1", "cuda:2"] }, [s_large, s_large, s_small], null,
            s_large with { MemoryBytes = s_large.MemoryBytes / 2 }, s_small);
    }

    [Fact]
    public void Ranks_of_a_CPU_share_its_memory()
    {
        var (cards, count) = LocalCards.Spread(new() { TensorParallel = 2, PipelineParallel = 2 }, [], 1L << 30);
        Assert.Equal((1L << 28, true, null), (cards.Single().MemoryBytes, cards[0].IsCpu, count));
    }

    [Fact]
    public void Layers_of_an_engine_follow_the_memory_of_unlike_cards()
    {
        var shape = PublishedConfigs.Shape(PublishedConfigs.Qwen14B);
        var layers = ParallelPlanner.Create(new() { PipelineParallel = 2 }, shape, 2, [s_large, s_small]).LayersPerStage!;
        Assert.True(layers[0] > 1.5 * layers[1], string.Join(", ", layers));
    }

    private static void AreSpread(EngineOptions options, GpuCard[] machine, int? count, params GpuCard[] cards)
    {
        var (found, have) = LocalCards.Spread(options, machine, 1L << 30);
        Assert.Equal(cards, found);
        Assert.Equal(count, have);
    }
}
