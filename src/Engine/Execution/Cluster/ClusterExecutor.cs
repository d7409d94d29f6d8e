using LocalLlm.Execution.Wire;
using LocalLlm.Parallel;

namespace LocalLlm.Execution.Cluster;

/// <summary>
/// The devices of several processes as one: every step goes to all of them, and its result comes from the one that chooses tokens. A step
/// that fails on another one has no result there, so the replica has failed.
/// </summary>
internal sealed class ClusterExecutor : IStepExecutor
{
    private readonly ClusterLayout _layout;
    private readonly ClusterHub _hub;
    private readonly IStepExecutor? _local;

    /// <param name="layout">Who there is.</param>
    /// <param name="hub">All others; owned from here on.</param>
    /// <param name="local">The ranks of this process, owned from here on; null: all ranks are in other processes.</param>
    /// <param name="others">What the other processes can do.</param>
    public ClusterExecutor(ClusterLayout layout, ClusterHub hub, IStepExecutor? local, IReadOnlyDictionary<int, ExecutorCapabilities> others)
    {
        (_layout, _hub, _local) = (layout, hub, local is null ? null : new StepWindow(local));
        var all = others.OrderBy(other => other.Key).Select(other => other.Value).ToList();
        if (local is not null)
            all.Insert(0, local.Capabilities);
        var stages = layout.Plan.PipelineParallel;
        Capabilities = all[0] with
        {
            MaxStepsInFlight = stages > 1 ? stages : all.Min(one => one.MaxStepsInFlight),
            PipelineStages = stages,
            FeedsSampledTokens = stages == 1 && all.All(one => one.FeedsSampledTokens),
            // Another host may hang without a word, on whatever device.
            StepTimeout = all.Max(one => one.StepTimeout) ?? StepTimeouts.Device,
        };
        // Whoever waits for a rank here waits for one there.
        hub.Lost.ContinueWith(lost => _local?.Abort(lost.Result), TaskScheduler.Default);
    }

    /// <inheritdoc/>
    public ExecutorCapabilities Capabilities { get; }

    /// <inheritdoc/>
    public Task<Exception>? Lost => _hub.Lost;

    /// <inheritdoc/>
    public bool Submit(SchedulerOutput step)
    {
        ThrowIfLost();
        _hub.Broadcast(NodeMessage.Of(NodeMessageKind.Step, StepFormat.Encode(step)));
        return _local?.Submit(step) ?? true;
    }

    /// <inheritdoc/>
    public StepResult Complete()
    {
        _hub.Broadcast(NodeMessage.Of(NodeMessageKind.Complete));
        var chosen = _local is null ? null : Check(0, _local.Complete());
        foreach (var node in _layout.RemoteNodes)
            chosen = Check(node, StepFormat.DecodeResult(_hub.Mail.Of(NodeMessageKind.Result, node).Take().Span)) ?? chosen;
        return chosen!;
    }

    /// <inheritdoc/>
    public void Abort(Exception reason)
    {
        _hub.Abort(reason);
        _local?.Abort(reason);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _hub.Dispose();
        _local?.Dispose();
    }

    // The result if it is the one that counts.
    private StepResult? Check(int node, StepResult result)
    {
        if (node == _layout.SamplingNode)
            return result;
        if (result.Failure is not { } failure)
            return null;
        ThrowIfLost();
        var reason = new RankFailedException($"{_layout.NameOf(node)} has failed in step {result.StepId}", new StepFailedException(failure.Details));
        _hub.Abort(reason);
        throw reason;
    }

    private void ThrowIfLost()
    {
        if (_hub.Lost.IsCompleted)
            throw new RankFailedException(_hub.Lost.Result.Message, _hub.Lost.Result);
    }
}
