using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>Which nodes may join, and what the operator reads when a node may not join or does not join.</summary>
public class JoinTests
{
    // The join timeout for nodes that never join.
    private static readonly TimeSpan Short = TimeSpan.FromSeconds(2);

    // The join timeout for nodes that are refused: long enough for a busy machine to get that far. After the refusal, node 0 waits the rest
    // of it for another node.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task A_node_that_does_not_join_is_named()
    {
        var options = Replica.InMemory(new(), 1, 2, 2) with { NodeJoinTimeout = Short };
        var failure = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(EngineErrorKind.Environment, failure.Kind);
        Assert.StartsWith("node 1 of 2 has not joined within 2 s: start the same command line there with --node-rank 1", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_that_cannot_reach_node_0_says_where_it_looked()
    {
        var options = Replica.OverGrpc(1, 2, 2) with { NodeRank = 1, NodeJoinTimeout = Short };
        var failure = await Assert.ThrowsAsync<EngineException>(() => EngineNode.RunAsync(options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.StartsWith($"node 1 of 2 has not reached node 0 within 2 s: 127.0.0.1:{options.MasterPort} cannot be reached", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Node_0_waits_until_its_own_name_has_an_address()
    {
        var network = new MemoryNetwork();
        var late = new LateTransport(network.Transport(), 3);
        await using var replica = await Replica.LoadAsync(
            Replica.InMemory(network, 1, 2, 2) with { NodeTransport = _ => late }, node => node with { NodeTransport = _ => network.Transport() });
        Assert.Equal(4, late.Attempts);
    }

    [Fact]
    public async Task A_name_of_node_0_that_never_has_an_address_is_named()
    {
        var options = Replica.OverGrpc(1, 2, 2, new() { Token = "of the test" }) with { MasterAddress = "no-such-host.invalid", NodeJoinTimeout = Short };
        var failure = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(EngineErrorKind.Environment, failure.Kind);
        Assert.StartsWith("node 0 could not listen within 2 s: master_addr: 'no-such-host.invalid' has no address", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nodes_that_share_a_host_by_accident_cause_one_warning()
    {
        var log = new CollectedLogs();
        var options = Replica.InMemory(new(), 1, 3, 3) with { NumThreads = 0, LoggerFactory = log };
        await using (var replica = await Replica.LoadAsync(options, node => node with { LoggerFactory = null }))
            Assert.NotEmpty(await Replica.GreedyAsync(replica.Engine, "Once", 2));
        var warning = Assert.Single(OfSharedHosts(log));
        Assert.StartsWith($"3 nodes run on {Environment.MachineName}, and each plans CPU threads and memory", warning, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nodes_of_one_host_that_were_given_their_parts_are_not_warned_of()
    {
        var log = new CollectedLogs();
        var options = Replica.InMemory(new(), 1, 2, 2) with { LoggerFactory = log };
        await using (await Replica.LoadAsync(options, node => node with { LoggerFactory = null }))
            Assert.Empty(OfSharedHosts(log));
    }

    private static IEnumerable<string> OfSharedHosts(CollectedLogs log) =>
        log.Warnings.Where(text => text.Contains("nodes run on", StringComparison.Ordinal));

    [Theory]
    [InlineData("cuda:1", null, "cuda:1")]
    [InlineData("auto", "cuda:0,cuda", "cuda:0")]
    public async Task Processes_that_would_share_a_GPU_are_refused_by_name(string device, string? listed, string shared)
    {
        var options = Replica.Options with { DistributedExecutorBackend = "processes", Device = device, Devices = listed?.Split(','), TensorParallel = 2 };
        var refusal = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(EngineErrorKind.InvalidOptions, refusal.Kind);
        Assert.Contains($"is processes, so that each rank needs a GPU of its own, but {shared} would have 2 of them", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Other_options_are_refused_by_name_on_both_sides()
    {
        var options = Replica.InMemory(new(), 1, 2, 2) with { NodeJoinTimeout = Patience };
        var node = Task.Run(() => EngineNode.RunAsync(options with { NodeRank = 1, MaxNumSeqs = 3 }), TestContext.Current.CancellationToken);
        var here = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken));
        var there = await Assert.ThrowsAsync<EngineException>(() => node);
        Assert.Contains("its max_num_seqs is 3, and node 0's is 256: start all nodes with the same options", here.Message, StringComparison.Ordinal);
        Assert.Contains("its max_num_seqs is 3, and node 0's is 256", there.Message, StringComparison.Ordinal);
        Assert.Equal(EngineErrorKind.InvalidOptions, there.Kind);
    }

    [Fact]
    public async Task Another_model_is_refused_with_the_file_that_differs()
    {
        using var copy = new ModelCopy();
        File.AppendAllText(Path.Combine(copy.Folder, "config.json"), " ");
        var options = Replica.InMemory(new(), 1, 2, 2) with { NodeJoinTimeout = Patience };
        var node = Task.Run(() => EngineNode.RunAsync(options with { NodeRank = 1, ModelPath = copy.Folder }), TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken));
        var refusal = await Assert.ThrowsAsync<EngineException>(() => node);
        Assert.Contains("its model is not the same: config.json differs from node 0's", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_with_another_control_stream_version_gets_both_versions()
    {
        var network = new MemoryNetwork();
        var options = Replica.InMemory(network, 1, 2, 2) with { NodeJoinTimeout = Patience };
        var loading = LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        await using var channel = await network.Transport().ConnectAsync(TestContext.Current.CancellationToken);
        await channel.SendAsync(new byte[] { 9, 1, (byte)'{', (byte)'}' }, TestContext.Current.CancellationToken);
        var refusal = await channel.ReceiveAsync(TestContext.Current.CancellationToken);
        Assert.Contains("it speaks version 9 of the control stream, and this build version 1", System.Text.Encoding.UTF8.GetString(refusal!.Value.Span[2..]), StringComparison.Ordinal);
        await Assert.ThrowsAsync<EngineException>(() => loading);
    }

    [Fact]
    public async Task A_wrong_token_is_refused()
    {
        var options = Replica.OverGrpc(1, 2, 2, new() { Token = "right" }) with { NodeJoinTimeout = Patience };
        var loading = LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        var node = options with { NodeRank = 1, NodeTransport = one => new GrpcNodeTransport(one.MasterAddress, one.MasterPort, new() { Token = "wrong" }) };
        var refusal = await Assert.ThrowsAsync<EngineException>(() => EngineNode.RunAsync(node, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("refuses this node's token: give all nodes the same --cluster-token", refusal.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<EngineException>(() => loading);
    }

    [Fact]
    public void Only_the_loopback_needs_no_token()
    {
        _ = new GrpcNodeTransport("127.0.0.1", 1);
        Assert.Equal("cluster_token", Assert.Throws<EngineException>(() => new GrpcNodeTransport("10.0.0.1", 1)).Parameter);
    }

    [Fact]
    public async Task A_node_above_0_takes_no_requests()
    {
        var options = Replica.InMemory(new(), 1, 2, 2) with { NodeRank = 1 };
        var failure = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.StartsWith("node_rank is 1: this node computes for node 0 and takes no requests", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Several_nodes_need_a_control_stream()
    {
        var options = Replica.Options with { PipelineParallel = 2, Nodes = 2 };
        var failure = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("AddLocalLlmCluster()", failure.Message, StringComparison.Ordinal);
    }

    // Its first attempts to listen fail.
    private sealed class LateTransport(INodeTransport inner, int failures) : INodeTransport
    {
        public int Attempts { get; private set; }

        public Task ListenAsync(CancellationToken cancellationToken) =>
            ++Attempts <= failures ? throw new IOException("its name has no address") : inner.ListenAsync(cancellationToken);

        public ValueTask<INodeChannel> AcceptAsync(CancellationToken cancellationToken) => inner.AcceptAsync(cancellationToken);

        public ValueTask<INodeChannel> ConnectAsync(CancellationToken cancellationToken) => inner.ConnectAsync(cancellationToken);

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }

    private sealed class ModelCopy : IDisposable
    {
        public ModelCopy()
        {
            foreach (var file in Directory.EnumerateFiles(TestPaths.TinyR1))
                File.Copy(file, Path.Combine(Folder, Path.GetFileName(file)));
        }

        public string Folder { get; } = Directory.CreateTempSubdirectory("localllm-cluster-").FullName;

        public void Dispose() => Directory.Delete(Folder, recursive: true);
    }
}
