using LocalLlm.Cluster.Tests;
using LocalLlm.Execution.Cluster;
using LocalLlm.Ops;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>Two nodes never compute on one GPU by accident.</summary>
public sealed class SharedCardTests
{
    // A short timeout for node 0, which waits until the timeout for another node after the first one was refused.
    private static readonly TimeSpan Short = TimeSpan.FromSeconds(2);

    // Nodes are compared by the GPU's own id: each process numbers the GPUs that it sees from 0, and containers of one host have different
    // host names.
    [Theory]
    [InlineData("there", 2, "GPU-1", true)]
    [InlineData("here", 2, "GPU-1", true)]
    [InlineData("here", 2, "GPU-2", false)]
    [InlineData("here", 1, "GPU-1", false)] // the same process
    [InlineData("here", 2, null, false)] // on a CPU
    public async Task Two_nodes_on_one_card_are_refused_with_what_to_do(string host, int process, string? card, bool isRefused)
    {
        var layout = new ClusterLayout(new(1, 2, 2), HubHoldsRanks: true);
        var own = new NodeHello { Version = "1", StepFormat = 1, Host = "here", ProcessId = 1, Cards = ["GPU-0", "GPU-1"] };
        var network = new MemoryNetwork();
        var times = isRefused ? new ClusterTimes { Join = Short } : new ClusterTimes();
        using var hub = new ClusterHub(layout, own, network.Transport(), times, NullLogger.Instance);
        var joining = Task.Run(() => hub.Join(null, Token), Token);
        var other = own with { Node = 1, Host = host, ProcessId = process, Cards = card is null ? [] : [card] };
        var node = ClusterMember.JoinAsync(layout, other, network.Transport(), new(), Token);
        if (!isRefused)
        {
            await joining;
            await (await node).DisposeAsync();
            return;
        }

        const string reason = "its GPU-1 is the card of node 0 of 2 on here, process 1, too: give nodes of one machine cards of their own, "
            + "by CUDA_VISIBLE_DEVICES or --device cuda:N";
        var there = await Assert.ThrowsAsync<EngineException>(() => node);
        Assert.Equal(EngineErrorKind.InvalidOptions, there.Kind);
        Assert.Contains(reason, there.Message, StringComparison.Ordinal);
        Assert.Contains(reason, (await Assert.ThrowsAsync<EngineException>(() => joining)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_front_end_holds_no_GPU()
    {
        var layout = new ClusterLayout(new(1, 2, 2), HubHoldsRanks: false);
        var first = new NodeHello { Node = 0, Host = "here", ProcessId = 1, Cards = ["GPU-0"] };
        Assert.Null(NodeIdentity.SharedCard(layout, [], first));
        Assert.Null(NodeIdentity.SharedCard(layout, [first], first with { Node = 1, ProcessId = 2, Cards = ["GPU-1"] }));
        Assert.StartsWith(
            "its GPU-0 is the card of rank 0 of 2 on here, process 1, too",
            NodeIdentity.SharedCard(layout, [first], first with { Node = 1, ProcessId = 2 }), StringComparison.Ordinal);
    }

    [Fact]
    public void A_CPU_and_a_missing_GPU_have_no_identity()
    {
        Assert.Null(DeviceRegistry.IdentityOf("cpu"));
        Assert.Null(DeviceRegistry.IdentityOf("cuda:99"));
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;
}
