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
    /// <param name="local">The ranks of this process, owned from here on; null: there are none.</param>
    /// <param name="capabilities">Of all together.</param>
    public ClusterExecutor(ClusterLayout layout, ClusterHub hub, IStepExecutor? local, ExecutorCapabilities capabilities) =>
        (_layout, _hub, _local, Capabilities) = (layout, hub, local, capabilities);

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
        StepResult? chosen = null;
        if (_local is not null)
        {
            var own = _local.Complete();
            chosen = Check(0, own);
        }

        foreach (var node in _layout.RemoteNodes)
            chosen = Check(node, StepFormat.DecodeResult(_hub.Mail.Of(NodeMessageKind.Result, node).Take().Span)) ?? chosen;
        return chosen!;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // The others end first: ranks here may wait for theirs.
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
