using LocalLlm.Parallel;

namespace LocalLlm.Execution.Cluster;

/// <summary>What connects the ranks of this process with those of others: the control stream, for residual streams too.</summary>
/// <param name="peer">The other processes.</param>
/// <param name="plan">Where ranks are.</param>
/// <param name="node">Which node this is.</param>
/// <param name="devices">Of its ranks.</param>
internal sealed class ClusterPeers(IClusterPeer peer, ParallelPlan plan, int node, IReadOnlyList<string> devices) : INodePeers
{
    /// <inheritdoc/>
    public bool ConnectsGpus { get; init; }

    /// <inheritdoc/>
    public MemoryPlan Agree(MemoryPlan own) => peer.Agree(own);

    /// <inheritdoc/>
    public IPipelineLink Link(int from, int to)
    {
        var own = plan.PlaceOf(from) is var sender && sender.Node == node ? sender : plan.PlaceOf(to);
        return new ControlStreamLink(peer.PostToRank, peer.Mail, from, to, devices[own.LocalIndex]);
    }

    /// <inheritdoc/>
    public byte[] Share(string key, Func<byte[]> create)
    {
        if (node > 0)
            return peer.Mail.TakeShared(key);
        var value = create();
        peer.Share(new(key, value));
        return value;
    }
}
