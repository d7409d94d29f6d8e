using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>However the ranks are spread over nodes, the tokens are those of one rank.</summary>
public class GreedyIdsTests
{
    private static Task<int[][]>? s_oneRank;

    [Theory]
    [InlineData(1, 2, 2)]
    [InlineData(1, 3, 3)]
    [InlineData(2, 2, 2)]
    [InlineData(1, 4, 2)]
    public async Task Nodes_in_memory_give_the_ids_of_one_rank(int tensorParallel, int pipelineParallel, int nodes)
    {
        await using var replica = await Replica.LoadAsync(Replica.InMemory(new(), tensorParallel, pipelineParallel, nodes));
        Assert.Equal(await OneRankAsync(), await Replica.GreedyAsync(replica.Engine));
    }

    [Theory]
    [InlineData(1, 2, 2)]
    [InlineData(2, 2, 2)]
    public async Task Nodes_over_gRPC_give_the_ids_of_one_rank(int tensorParallel, int pipelineParallel, int nodes)
    {
        await using var replica = await Replica.LoadAsync(Replica.OverGrpc(tensorParallel, pipelineParallel, nodes));
        Assert.Equal(await OneRankAsync(), await Replica.GreedyAsync(replica.Engine));
    }

    [Fact]
    public async Task The_nodes_end_with_the_engine()
    {
        var replica = await Replica.LoadAsync(Replica.OverGrpc(1, 2, 2));
        await replica.DisposeAsync();
        await replica.Nodes[0].WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
    }

    private static Task<int[][]> OneRankAsync() => s_oneRank ??= LoadAsync();

    private static async Task<int[][]> LoadAsync()
    {
        await using var engine = await LlmEngine.LoadAsync(Replica.Options);
        return await Replica.GreedyAsync(engine);
    }
}
