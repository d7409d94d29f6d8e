using LocalLlm.Parallel;

namespace LocalLlm.Execution.Cluster;

/// <summary>A process without the engine loop, as its ranks see the others. Thread-safe; owns the link.</summary>
internal sealed class ClusterMember : IClusterPeer, IAsyncDisposable
{
    private readonly ClusterLayout _layout;
    private readonly int _node;
    private readonly NodeLink _link;
    private readonly TaskCompletionSource<Exception?> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ClusterMember(ClusterLayout layout, int node, INodeChannel channel, ClusterTimes times)
    {
        (_layout, _node) = (layout, node);
        _link = new(channel, layout.HubHoldsRanks ? "node 0" : "the front end", times.Heartbeat, (_, kind, content) => Receive(kind, content), (_, reason) => End(reason), TimeProvider.System);
    }

    /// <inheritdoc/>
    public ClusterMail Mail { get; } = new();

    /// <summary>Steps to submit, in order; an empty one: the oldest is to be completed.</summary>
    public AbortableQueue<ReadOnlyMemory<byte>> Steps => Mail.Of(NodeMessageKind.Step, 0);

    /// <summary>Completes when the replica ends: with null as it should, else with the reason.</summary>
    public Task<Exception?> Ended => _ended.Task;

    /// <summary>Reaches node 0, as often as it takes, and joins.</summary>
    /// <exception cref="EngineException">Kind Environment: node 0 was not reached in time. Kind InvalidOptions: it refuses this
    /// process.</exception>
    public static async Task<ClusterMember> JoinAsync(ClusterLayout layout, NodeHello own, INodeTransport transport, ClusterTimes times, CancellationToken cancellationToken)
    {
        var channel = await ReachAsync(layout, own, transport, times, cancellationToken).ConfigureAwait(false);
        try
        {
            await channel.SendAsync(NodeMessage.Of(NodeMessageKind.Hello, own, NodeJsonContext.Default.NodeHello), cancellationToken).ConfigureAwait(false);
            if (await channel.ReceiveAsync(cancellationToken).ConfigureAwait(false) is not { } message)
                throw new EngineException(EngineErrorKind.Environment, $"{channel.Peer} has closed the connection in the place of taking {layout.NameOf(own.Node)} in; its log says why.");
            var (kind, content) = NodeMessage.Read(message);
            if (kind == NodeMessageKind.Refused)
                throw Refusal(layout, own, NodeMessage.Read(content, NodeJsonContext.Default.NodeEnd));
            if (kind != NodeMessageKind.Welcome)
                throw new InvalidDataException($"it answers {kind}");
        }
        catch (Exception failure)
        {
            await channel.DisposeAsync().ConfigureAwait(false);
            if (failure is InvalidDataException or IOException)
                throw new EngineException(EngineErrorKind.Environment, $"{channel.Peer} cannot be joined: {failure.Message}.", innerException: failure);
            throw;
        }

        var member = new ClusterMember(layout, own.Node, channel, times);
        member._link.Start();
        return member;
    }

    /// <inheritdoc/>
    public MemoryPlan Agree(MemoryPlan own)
    {
        Post(NodeMessage.Of(NodeMessageKind.Planned, own, NodeJsonContext.Default.MemoryPlan));
        var agreed = NodeMessage.Read(Mail.Of(NodeMessageKind.Agreed, 0).Take(), NodeJsonContext.Default.MemoryPlan);
        return own.WithAtMost(agreed);
    }

    /// <summary>Sends to node 0.</summary>
    public void Post(byte[] message) => _link.Post(message);

    /// <inheritdoc/>
    public void PostToRank(int rank, byte[] message) => _link.Post(message);

    /// <inheritdoc/>
    public void Share(SharedValue value)
    {
        Mail.Share(value);
        Post(NodeMessage.Of(NodeMessageKind.Shared, value, NodeJsonContext.Default.SharedValue));
    }

    /// <summary>This process has failed: tells the others, and ends.</summary>
    public void Abort(Exception reason)
    {
        var end = reason is EngineException failure ? new NodeEnd(failure.Message, failure.Kind) : new NodeEnd(reason.Message, EngineErrorKind.EngineDead);
        Post(NodeMessage.Of(NodeMessageKind.Abort, end, NodeJsonContext.Default.NodeEnd));
        End(reason);
    }

    /// <summary>This process is stopped: tells the others.</summary>
    public void Leave()
    {
        Post(NodeMessage.Of(NodeMessageKind.Goodbye));
        _link.ExpectEnd();
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _link.DisposeAsync();

    private static EngineException Refusal(ClusterLayout layout, NodeHello own, NodeEnd refusal) =>
        new(refusal.Kind, $"Node 0 does not take {layout.NameOf(own.Node)} in: {refusal.Reason}.", "node_rank");

    private static async Task<INodeChannel> ReachAsync(ClusterLayout layout, NodeHello own, INodeTransport transport, ClusterTimes times, CancellationToken cancellationToken)
    {
        var begin = TimeProvider.System.GetTimestamp();
        while (true)
        {
            try
            {
                return await transport.ConnectAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (IOException failure)
            {
                if (TimeProvider.System.GetElapsedTime(begin) > times.Join)
                {
                    throw new EngineException(
                        EngineErrorKind.Environment,
                        $"{layout.NameOf(own.Node)} has not reached node 0 within {times.Join.TotalSeconds:0.#} s: {failure.Message} Start node 0, and see that its --master-addr and --master-port can be reached from here.",
                        innerException: failure);
                }
            }

            await Task.Delay(ClusterTimes.Retry, cancellationToken).ConfigureAwait(false);
        }
    }

    private void Receive(NodeMessageKind kind, ReadOnlyMemory<byte> content)
    {
        switch (kind)
        {
            case NodeMessageKind.Step or NodeMessageKind.Complete:
                Steps.Add(content);
                break;
            case NodeMessageKind.Agreed:
                Mail.Of(kind, 0).Add(content);
                break;
            case NodeMessageKind.Activation:
                var activation = ActivationMessage.Read(content.Span);
                if (!_layout.IsOn(_node, activation.To))
                    throw new InvalidDataException($"it sent an activation to rank {activation.To}, which is not here");
                Mail.Of(kind, activation.From, activation.To).Add(content);
                break;
            case NodeMessageKind.Shared:
                Mail.Share(NodeMessage.Read(content, NodeJsonContext.Default.SharedValue));
                break;
            case NodeMessageKind.Abort:
                End(new RankFailedException(NodeMessage.Read(content, NodeJsonContext.Default.NodeEnd).Reason, null));
                break;
            case NodeMessageKind.Goodbye:
                _link.ExpectEnd();
                End(null);
                break;
            default:
                throw new InvalidDataException($"it sent {kind}, which node 0 does not send");
        }
    }

    private void End(Exception? reason)
    {
        if (_ended.TrySetResult(reason))
            Mail.Abort(reason ?? new OperationCanceledException("the replica has ended"));
    }
}
