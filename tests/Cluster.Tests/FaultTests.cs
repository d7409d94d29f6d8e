using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>A replica fails as a whole: if one node fails, all nodes end, and every caller gets an error.</summary>
public class FaultTests
{
    // Ends a test that would wait forever; long enough for a busy machine.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    // Three such heartbeats take longer than the patience, so a loss that a test sees was noticed without missed heartbeats.
    private static readonly TimeSpan Rare = TimeSpan.FromMinutes(1);

    [Fact]
    public async Task A_connection_that_ends_is_known_without_a_missed_heartbeat_while_nothing_runs()
    {
        var network = new MemoryNetwork();
        await using var replica = await Replica.LoadAsync(Replica.InMemory(network, 1, 2, 2) with { NodeHeartbeat = Rare });
        await Replica.GreedyAsync(replica.Engine, "Once", 2);
        network.Cut();
        await replica.Engine.Completion.WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.True(replica.Engine.HasFailed);
        Assert.Equal(EngineErrorKind.EngineDead, (await Assert.ThrowsAsync<EngineException>(() => replica.Nodes[0])).Kind);
    }

    [Fact]
    public async Task Open_requests_end_with_engine_dead_without_a_missed_heartbeat()
    {
        var network = new MemoryNetwork();
        await using var replica = await Replica.LoadAsync(Replica.InMemory(network, 1, 2, 2) with { NodeHeartbeat = Rare });
        var requests = Enumerable.Range(0, 8).Select(i => Replica.GreedyAsync(replica.Engine, $"Request {i}", 400)).ToArray();
        await foreach (var _ in replica.Engine.GenerateAsync("Once", new SamplingParams { MaxTokens = 4 }, TestContext.Current.CancellationToken))
        {
            // Waits until all requests run.
        }

        network.Cut();
        foreach (var request in requests)
            Assert.Equal(EngineErrorKind.EngineDead, (await Assert.ThrowsAsync<EngineException>(() => request.WaitAsync(Patience, TestContext.Current.CancellationToken))).Kind);
    }

    [Fact]
    public async Task A_node_that_is_silent_is_lost_after_three_heartbeats()
    {
        var network = new MemoryNetwork();
        var heartbeat = TimeSpan.FromSeconds(2);
        await using var replica = await Replica.LoadAsync(Replica.InMemory(network, 1, 2, 2) with { NodeHeartbeat = heartbeat });
        network.Silence();
        await replica.Engine.Completion.WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.True(replica.Engine.HasFailed);
        await Assert.ThrowsAsync<EngineException>(() => replica.Nodes[0].WaitAsync(Patience, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_step_that_does_not_end_is_given_up()
    {
        // The node sends its heartbeats, but no results.
        var network = new MemoryNetwork();
        var options = Replica.InMemory(network, 1, 2, 2) with { StepTimeout = TimeSpan.FromSeconds(5), NodeHeartbeat = Rare };
        await using var replica = await Replica.LoadAsync(options);
        network.Silence();
        var failure = await Assert.ThrowsAsync<EngineException>(() => Replica.GreedyAsync(replica.Engine, "Once", 4).WaitAsync(Patience, TestContext.Current.CancellationToken));
        Assert.Equal(EngineErrorKind.EngineDead, failure.Kind);
    }

    [Fact]
    public async Task A_node_that_is_stopped_ends_the_replica()
    {
        using var stopping = new CancellationTokenSource();
        var network = new MemoryNetwork();
        var options = Replica.InMemory(network, 1, 2, 2);
        var node = Task.Run(() => EngineNode.RunAsync(options with { NodeRank = 1 }, cancellationToken: stopping.Token), TestContext.Current.CancellationToken);
        await using var engine = await LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        await stopping.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => node);
        await engine.Completion.WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.True(engine.HasFailed);
    }
}
