using System.Diagnostics.CodeAnalysis;
using LocalLlm.Execution.Wire;
using LocalLlm.Interop.Mpi;
using LocalLlm.Parallel;
using LocalLlm.Sampling;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Execution.Cluster;

/// <summary>
/// Runs the ranks of a process without the engine loop: the calls that the loop makes of its executor are repeated here, in the same order,
/// on one thread that owns the first device. A thread that a device holds is left behind; the process is to end.
/// </summary>
/// <param name="options">What the process was started with.</param>
/// <param name="layout">Which ranks it holds.</param>
/// <param name="grammars">Creates the compiler of grammars; null without a tokenizer.</param>
/// <param name="progress">Told of phases and bytes.</param>
/// <param name="logger">Told of what fails.</param>
/// <param name="cancellationToken">Leaves the replica.</param>
internal sealed partial class NodeWorker(
    EngineOptions options, ClusterLayout layout, Func<ResponseGrammars?> grammars, IProgress<LoadProgress>? progress, ILogger logger, CancellationToken cancellationToken)
{
    // For a thread whose waits were ended.
    private static readonly TimeSpan EndingTime = TimeSpan.FromSeconds(2);

    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Joins, loads and computes until the replica ends.</summary>
    /// <exception cref="EngineException">It could not join or load, or the replica has failed.</exception>
    public async Task RunAsync()
    {
        var transport = options.NodeTransport!(options);
        await using (transport.ConfigureAwait(false))
        {
            progress?.Report(new("joining node 0", 0, 0));
            var own = NodeIdentity.Of(options, layout.Plan, options.NodeRank);
            var member = await ClusterMember.JoinAsync(layout, own, transport, ClusterTimes.Of(options), cancellationToken).ConfigureAwait(false);
            await using (member.ConfigureAwait(false))
                await RunAsync(member).ConfigureAwait(false);
        }
    }

    private async Task RunAsync(ClusterMember member)
    {
        using var leaving = cancellationToken.Register(member.Leave);
        new Thread(() => RunThread(member)) { IsBackground = true, Name = "LocalLlm node" }.Start();
        var first = await Task.WhenAny(_done.Task, member.Ended, CancelledAsync()).ConfigureAwait(false);
        // The thread ends soon, unless its device hangs.
        if (first != _done.Task)
            await Task.WhenAny(_done.Task, Task.Delay(EndingTime, CancellationToken.None)).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        if (member.Ended is { IsCompletedSuccessfully: true, Result: { } reason } && reason is not EngineException)
        {
            LogLost(reason.Message);
            throw new EngineException(EngineErrorKind.EngineDead, $"The replica has failed: {reason.Message}. Start all of its nodes again.", innerException: reason);
        }

        if (_done.Task.IsCompleted)
            await _done.Task.ConfigureAwait(false);
    }

    private Task CancelledAsync()
    {
        var cancelled = new TaskCompletionSource();
        cancellationToken.Register(() => cancelled.TrySetResult());
        return cancelled.Task;
    }

    private void RunThread(ClusterMember member)
    {
        try
        {
            using var executor = Load(member);
            Compute(member, executor);
        }
        catch (Exception) when (member.Ended is { IsCompletedSuccessfully: true, Result: null })
        {
            // The replica has ended as it should, and took what waited with it.
            MpiWorld.Leave();
            _done.TrySetResult();
        }
        catch (Exception failure)
        {
            var cause = failure is RankFailedException { InnerException: { } inner } ? inner : failure;
            if (!member.Ended.IsCompleted)
                LogFailed(cause);
            member.Abort(cause);
            _done.TrySetException(cause as EngineException ?? new EngineException(EngineErrorKind.EngineDead, $"This node has failed: {cause.Message}", innerException: cause));
        }
    }

    private StepWindow Load(ClusterMember member)
    {
        var (loader, abort) = ClusterRanks.Open(options, layout, options.NodeRank, member);
        using (loader)
        {
            member.Ended.ContinueWith(ended => abort(ended.Result ?? new OperationCanceledException("the replica has ended")), TaskScheduler.Default);
            loader.CheckWeights();
            if (!layout.HubHoldsRanks)
                ClusterRanks.MeetPlanned(layout, options.NodeRank, member);
            var executor = new StepWindow(loader.Load(grammars(), progress, cancellationToken));
            member.Post(NodeMessage.Of(NodeMessageKind.Loaded, StepFormat.Encode(executor.Capabilities)));
            progress?.Report(new("computing for node 0", 0, 0));
            return executor;
        }
    }

    /// <summary>Does with an executor what the engine loop does with its own.</summary>
    /// <param name="member">The other processes.</param>
    /// <param name="executor">Loaded.</param>
    /// <exception cref="Exception">What has ended the replica; nothing else ends this.</exception>
    [DoesNotReturn]
    internal static void Compute(ClusterMember member, StepWindow executor)
    {
        while (true)
        {
            var step = member.Steps.Take();
            if (step.IsEmpty)
                member.Post(NodeMessage.Of(NodeMessageKind.Result, StepFormat.Encode(executor.Complete())));
            else
                executor.Submit(StepFormat.DecodeStep(step.Span));
        }
    }

    [LoggerMessage(23, LogLevel.Critical, "This node has failed.")]
    private partial void LogFailed(Exception failure);

    [LoggerMessage(24, LogLevel.Critical, "The replica has failed: {Reason}.")]
    private partial void LogLost(string reason);
}
