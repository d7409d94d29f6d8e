using LocalLlm.Cluster.Tests;
using LocalLlm.Execution.Cluster;
using LocalLlm.Parallel;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>A value that one process creates and all others receive, such as the ids of NCCL's communicators.</summary>
public sealed class SharedValueTests
{
    private const string Key = "ids";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_first_node_creates_a_value_and_all_others_take_it(bool hubHoldsRanks)
    {
        var layout = new ClusterLayout(new(1, 3, 3), hubHoldsRanks);
        var network = new MemoryNetwork();
        using var hub = new ClusterHub(layout, Hello(0), network.Transport(), new(), NullLogger.Instance);
        var joining = Task.Run(() => hub.Join(null, Token), Token);
        IClusterPeer first = hub;
        await using var member = hubHoldsRanks ? null : await JoinAsync(layout, network, 0);
        first = member ?? first;
        var created = 0;
        Assert.Equal([1, 2, 3], Peers(first, layout, 0).Share(Key, () => [1, 2, (byte)(3 * ++created)]));

        // The second and third node join only now.
        await using var second = await JoinAsync(layout, network, 1);
        await using var third = await JoinAsync(layout, network, 2);
        Assert.Equal([1, 2, 3], Peers(second, layout, 1).Share(Key, () => throw new InvalidOperationException("not here")));
        Assert.Equal([1, 2, 3], Peers(third, layout, 2).Share(Key, () => throw new InvalidOperationException("not here")));
        Assert.Equal(1, created);
        await joining;
    }

    [Fact]
    public async Task A_node_that_waits_for_a_value_hears_that_the_replica_has_failed()
    {
        var layout = new ClusterLayout(new(1, 2, 2), HubHoldsRanks: true);
        var network = new MemoryNetwork();
        using var hub = new ClusterHub(layout, Hello(0), network.Transport(), new(), NullLogger.Instance);
        var joining = Task.Run(() => hub.Join(null, Token), Token);
        await using var member = await JoinAsync(layout, network, 1);
        await joining;
        var waiting = Task.Run(() => Peers(member, layout, 1).Share(Key, () => []), Token);
        hub.Abort(new IOException("no NCCL on node 0"));
        var failure = await Assert.ThrowsAsync<RankFailedException>(() => waiting);
        Assert.Contains("no NCCL on node 0", failure.Message, StringComparison.Ordinal);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Task<ClusterMember> JoinAsync(ClusterLayout layout, MemoryNetwork network, int node) =>
        ClusterMember.JoinAsync(layout, Hello(node), network.Transport(), new(), Token);

    private static ClusterPeers Peers(IClusterPeer peer, ClusterLayout layout, int node) => new(peer, layout.Plan, node, ["cpu"]);

    private static NodeHello Hello(int node) => new() { Version = "1", StepFormat = 1, Node = node, Host = "here", ProcessId = node };
}
