using LocalLlm.Parallel;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Execution.Cluster;

/// <summary>
/// The process with the engine loop, as the others see it: takes them in, passes on what they send each other, and declares the replica
/// failed as soon as one of them is. Thread-safe; owns transport and links.
/// </summary>
internal sealed partial class ClusterHub : IClusterPeer, IDisposable
{
    private readonly ClusterLayout _layout;
    private readonly NodeHello _own;
    private readonly INodeTransport _transport;
    private readonly ClusterTimes _times;
    private readonly ILogger _logger;
    private readonly Dictionary<int, NodeLink> _links = []; // also the lock
    private readonly Dictionary<int, string> _refusals = [];
    private readonly List<NodeHello> _holders = []; // of all that hold ranks
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _joined = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<Exception> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _accepting = Task.CompletedTask;

    /// <param name="layout">Who joins.</param>
    /// <param name="own">What those who join are compared with.</param>
    /// <param name="transport">Where they come from.</param>
    /// <param name="times">How long is waited.</param>
    /// <param name="logger">Told of refusals and failures.</param>
    public ClusterHub(ClusterLayout layout, NodeHello own, INodeTransport transport, ClusterTimes times, ILogger logger)
    {
        (_layout, _own, _transport, _times, _logger) = (layout, own, transport, times, logger);
        Mail = new();
        if (layout.HubHoldsRanks)
            _holders.Add(own);
    }

    /// <inheritdoc/>
    public ClusterMail Mail { get; }

    /// <summary>Completes with the reason when the replica has failed: a process of it is gone, hangs or says so.</summary>
    public Task<Exception> Lost => _lost.Task;

    /// <summary>Waits until all have joined.</summary>
    /// <exception cref="EngineException">Kind Environment: somebody has not joined in time.</exception>
    public void Join(IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        var begin = TimeProvider.System.GetTimestamp();
        ListenAsync(begin, progress, cancellationToken).GetAwaiter().GetResult();
        _accepting = Task.Run(AcceptAsync, CancellationToken.None);
        var missing = Missing();
        progress?.Report(new($"waiting for {string.Join(", ", missing.Select(_layout.NameOf))}", 0, 0));
        var first = Task.WhenAny(_joined.Task, _lost.Task, Task.Delay(_times.LeftOf(begin), cancellationToken)).GetAwaiter().GetResult();
        if (first == _joined.Task)
            return;
        if (first == _lost.Task)
            throw Failed(_lost.Task.Result);
        cancellationToken.ThrowIfCancellationRequested();
        throw new EngineException(EngineErrorKind.Environment, NotJoined());
    }

    /// <summary>
    /// Warns, once all have joined, of hosts that several of them share: each plans as if it had the host to itself.
    /// </summary>
    public void WarnOfSharedHosts()
    {
        lock (_links)
        {
            foreach (var (host, count) in _holders.CountBy(holder => holder.Host).Where(host => host.Value > 1))
                LogSharedHost(count, host);
        }
    }

    /// <inheritdoc/>
    public MemoryPlan Agree(MemoryPlan own)
    {
        var agreed = Settle([own]);
        return own.WithAtMost(agreed);
    }

    /// <summary>As <see cref="Agree"/>, where this process holds no ranks.</summary>
    public void AgreeOnOthers() => Settle([]);

    private MemoryPlan Settle(IReadOnlyList<MemoryPlan> own)
    {
        var plans = _layout.RemoteNodes.Select(node => NodeMessage.Read(Mail.Of(NodeMessageKind.Planned, node).Take(), NodeJsonContext.Default.MemoryPlan)).ToArray();
        var tightest = plans.Concat(own).Aggregate((one, other) => one.WithAtMost(other));
        Broadcast(NodeMessage.Of(NodeMessageKind.Agreed, tightest, NodeJsonContext.Default.MemoryPlan));
        return tightest;
    }

    /// <summary>Waits until all others are ready for steps.</summary>
    /// <returns>What each can do, by node.</returns>
    public IReadOnlyDictionary<int, ExecutorCapabilities> TakeLoaded() =>
        _layout.RemoteNodes.ToDictionary(node => node, node => Wire.StepFormat.DecodeCapabilities(Mail.Of(NodeMessageKind.Loaded, node).Take().Span));

    /// <summary>Sends to all others.</summary>
    public void Broadcast(byte[] message)
    {
        foreach (var link in Links())
            link.Post(message);
    }

    /// <inheritdoc/>
    public void PostToRank(int rank, byte[] message) => Find(_layout.Plan.PlaceOf(rank).Node)?.Post(message);

    /// <inheritdoc/>
    public void Share(SharedValue value)
    {
        Mail.Share(value);
        Broadcast(NodeMessage.Of(NodeMessageKind.Shared, value, NodeJsonContext.Default.SharedValue));
    }

    /// <summary>The replica has failed: ends every wait here and on the others. The first reason stays.</summary>
    public void Abort(Exception reason)
    {
        if (!_lost.TrySetResult(reason))
            return;
        LogLost(reason.Message);
        Mail.Abort(reason);
        Broadcast(NodeMessage.Of(NodeMessageKind.Abort, new NodeEnd(reason.Message, EngineErrorKind.EngineDead), NodeJsonContext.Default.NodeEnd));
    }

    /// <summary>An engine's error from what has failed.</summary>
    public static EngineException Failed(Exception reason) => reason as EngineException
        ?? reason.InnerException as EngineException
        ?? new EngineException(EngineErrorKind.Environment, $"The replica could not be loaded: {reason.Message}.", innerException: reason);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_lost.Task.IsCompleted)
            Broadcast(NodeMessage.Of(NodeMessageKind.Goodbye));
        _closing.Cancel();
        Task.WhenAll(Links().Select(link => link.DisposeAsync().AsTask())).Wait(TimeSpan.FromSeconds(5));
        Task.WhenAny(_transport.DisposeAsync().AsTask(), Task.Delay(TimeSpan.FromSeconds(2))).Wait();
        _accepting.Wait(TimeSpan.FromSeconds(1));
    }

    // A launcher may give this host its name only after it has started the process.
    private async Task ListenAsync(long begin, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        for (var isFirst = true; ; isFirst = false)
        {
            try
            {
                await _transport.ListenAsync(cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (IOException failure)
            {
                if (_times.LeftOf(begin) == TimeSpan.Zero)
                {
                    var text = $"node 0 could not listen within {_times.Join.TotalSeconds:0.#} s: {failure.Message}";
                    throw new EngineException(EngineErrorKind.Environment, text, "master_addr", failure);
                }

                if (isFirst)
                {
                    LogNotListening(failure.Message);
                    progress?.Report(new("waiting for this node's own address", 0, 0));
                }
            }

            await Task.Delay(ClusterTimes.Retry, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task AcceptAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            try
            {
                var channel = await _transport.AcceptAsync(_closing.Token).ConfigureAwait(false);
                _ = Task.Run(() => GreetAsync(channel));
            }
            catch (Exception failure)
            {
                if (!_closing.IsCancellationRequested)
                    Abort(new RankFailedException($"no more nodes can be taken in: {failure.Message}", failure));
                return;
            }
        }
    }

    private async Task GreetAsync(INodeChannel channel)
    {
        string fault;
        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
            patience.CancelAfter(ClusterTimes.Greeting);
            if (await channel.ReceiveAsync(patience.Token).ConfigureAwait(false) is not { } message)
            {
                await channel.DisposeAsync().ConfigureAwait(false);
                return;
            }

            var (kind, content) = NodeMessage.Read(message);
            if (kind != NodeMessageKind.Hello)
                throw new InvalidDataException($"its first message is {kind}, not {NodeMessageKind.Hello}");
            var hello = NodeMessage.Read(content, NodeJsonContext.Default.NodeHello);
            if (TakeIn(hello, channel) is not { } refusal)
                return;
            fault = refusal;
        }
        catch (Exception failure)
        {
            fault = failure.Message;
        }

        LogRefused(channel.Peer, fault);
        try
        {
            var refused = NodeMessage.Of(NodeMessageKind.Refused, new NodeEnd(fault, EngineErrorKind.InvalidOptions), NodeJsonContext.Default.NodeEnd);
            await channel.SendAsync(refused, _closing.Token).ConfigureAwait(false);
        }
        catch (Exception)
        {
            // It has left; the log has the reason.
        }

        await channel.DisposeAsync().ConfigureAwait(false);
    }

    // Null: it has joined. Otherwise why not.
    private string? TakeIn(NodeHello hello, INodeChannel channel)
    {
        var isLast = false;
        NodeLink link;
        lock (_links)
        {
            if (!_layout.RemoteNodes.Contains(hello.Node))
                return $"it says that it is node {hello.Node}; those that join are {string.Join(", ", _layout.RemoteNodes)}: give each node its own --node-rank";
            if (_lost.Task.IsCompleted)
                return "the replica has failed; start all of its nodes again";
            if (_links.TryGetValue(hello.Node, out var earlier))
                return $"{_layout.NameOf(hello.Node)} has joined before, as {earlier.Name}: give each node its own --node-rank; a node that was lost cannot come back alone";
            if ((NodeIdentity.Difference(_own, hello) ?? NodeIdentity.SharedCard(_layout, _holders, hello)) is { } difference)
            {
                _refusals[hello.Node] = difference;
                return difference;
            }

            link = new(channel, $"{_layout.NameOf(hello.Node)} on {hello.Host}, process {hello.ProcessId}", _times.Heartbeat, (_, kind, content) => Receive(hello.Node, kind, content), (_, reason) => Abort(reason), TimeProvider.System);
            _links.Add(hello.Node, link);
            _holders.Add(hello);
            isLast = _links.Count == _layout.RemoteNodes.Count;
        }

        link.Post(NodeMessage.Of(NodeMessageKind.Welcome));
        // What others have shared before it came.
        foreach (var value in Mail.SharedValues)
            link.Post(NodeMessage.Of(NodeMessageKind.Shared, value, NodeJsonContext.Default.SharedValue));
        link.Start();
        LogJoined(link.Name);
        if (isLast)
            _joined.TrySetResult();
        return null;
    }

    private void Receive(int node, NodeMessageKind kind, ReadOnlyMemory<byte> content)
    {
        switch (kind)
        {
            case NodeMessageKind.Activation:
                PassOn(ActivationMessage.Read(content.Span), content);
                break;
            case NodeMessageKind.Shared:
                Share(NodeMessage.Read(content, NodeJsonContext.Default.SharedValue));
                break;
            case NodeMessageKind.Planned or NodeMessageKind.Loaded or NodeMessageKind.Result:
                Mail.Of(kind, node).Add(content);
                break;
            case NodeMessageKind.Abort:
                var end = NodeMessage.Read(content, NodeJsonContext.Default.NodeEnd);
                Abort(new EngineException(end.Kind, $"{_layout.NameOf(node)}: {end.Reason}"));
                break;
            case NodeMessageKind.Goodbye:
                Abort(new RankFailedException($"{_layout.NameOf(node)} was stopped", null));
                break;
            default:
                throw new InvalidDataException($"it sent {kind}, which only node 0 sends");
        }
    }

    private void PassOn(ActivationMessage activation, ReadOnlyMemory<byte> content)
    {
        if (activation.To < 0 || activation.To >= _layout.Plan.WorldSize)
            throw new InvalidDataException($"it sent an activation to rank {activation.To}; there are {_layout.Plan.WorldSize}");
        if (_layout.HubHoldsRanks && _layout.IsOn(0, activation.To))
            Mail.Of(NodeMessageKind.Activation, activation.From, activation.To).Add(content);
        else
            PostToRank(activation.To, NodeMessage.Of(NodeMessageKind.Activation, content.Span));
    }

    private NodeLink[] Links()
    {
        lock (_links)
            return [.. _links.Values];
    }

    private NodeLink? Find(int node)
    {
        lock (_links)
            return _links.GetValueOrDefault(node);
    }

    private int[] Missing()
    {
        lock (_links)
            return [.. _layout.RemoteNodes.Where(node => !_links.ContainsKey(node))];
    }

    private string NotJoined()
    {
        var missing = Missing();
        string? refusal;
        lock (_links)
            refusal = _refusals.GetValueOrDefault(missing[0]);
        var text = $"{string.Join(" and ", missing.Select(_layout.NameOf))} {(missing.Length == 1 ? "has" : "have")} not joined within {_times.Join.TotalSeconds:0.#} s";
        if (refusal is not null)
            return $"{text}: it was refused, because {refusal}.";
        return _layout.HubHoldsRanks
            ? $"{text}: start the same command line there with --node-rank {missing[0]}, and check that it can reach this node's --master-addr and --master-port."
            : $"{text}: see what its process has written.";
    }

    [LoggerMessage(20, LogLevel.Information, "{Node} has joined.")]
    private partial void LogJoined(string node);

    [LoggerMessage(21, LogLevel.Warning, "A connection from {Peer} was refused: {Reason}.")]
    private partial void LogRefused(string peer, string reason);

    [LoggerMessage(23, LogLevel.Warning, "Node 0 cannot listen yet and tries again: {Reason}")]
    private partial void LogNotListening(string reason);

    [LoggerMessage(
        25, LogLevel.Warning,
        "{Count} nodes run on {Host}, and each plans CPU threads and memory as if it had the host to itself, unless it was given its own. Divide "
        + "them with num_threads and gpu_memory_utilization (or kv_cache_memory_bytes), or run all of their ranks in one process.")]
    private partial void LogSharedHost(int count, string host);

    [LoggerMessage(22, LogLevel.Critical, "The replica has failed: {Reason}.")]
    private partial void LogLost(string reason);
}
