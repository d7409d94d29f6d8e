using System.Runtime.ExceptionServices;
using LocalLlm.Parallel;

namespace LocalLlm.Execution;

/// <summary>
/// Makes all ranks one executor: each gets every step. The first rank of this process runs on the engine loop's thread, the others
/// elsewhere. One rank of each data-parallel group chooses tokens and reports the group's part of the step. If one rank fails, none can go
/// on.
/// </summary>
internal sealed class ParallelExecutor : IStepExecutor
{
    private readonly IStepExecutor _first;
    private readonly IReadOnlyList<IRankExecutor> _others;
    private readonly IReadOnlyList<IRankExecutor?> _sampling;
    private readonly StepResult[] _ofGroups;
    private readonly GroupResults? _results; // null: only one group
    private readonly Action<Exception> _abort;

    /// <summary>Takes over loaded ranks.</summary>
    /// <param name="first">The rank on this thread.</param>
    /// <param name="others">All others.</param>
    /// <param name="sampling">For each data-parallel group the rank that chooses its tokens; null: the first rank does.</param>
    /// <param name="stages">Number of pipeline stages.</param>
    /// <param name="abort">Ends every wait on any rank.</param>
    public ParallelExecutor(
        IStepExecutor first, IReadOnlyList<IRankExecutor> others, IReadOnlyList<IRankExecutor?> sampling, int stages, Action<Exception> abort)
    {
        (_first, _others, _sampling, _abort) = (new StepWindow(first), others, sampling, abort);
        _ofGroups = new StepResult[sampling.Count];
        _results = sampling.Count > 1 ? new(sampling.Count) : null;
        var all = others.Select(rank => rank.Capabilities).Prepend(first.Capabilities).ToList();
        var feeds = all.TrueForAll(one => one.FeedsSampledTokens);
        Capabilities = first.Capabilities with
        {
            // If devices feed tokens, one more step waits for the first stage, which then never waits for the host.
            MaxStepsInFlight = stages == 1 ? all.Min(one => one.MaxStepsInFlight) : feeds ? stages + 1 : stages,
            PipelineStages = stages,
            DataParallel = sampling.Count,
            FeedsSampledTokens = feeds,
            StepTimeout = all.Max(one => one.StepTimeout),
        };
    }

    /// <inheritdoc/>
    public ExecutorCapabilities Capabilities { get; }

    /// <inheritdoc/>
    public bool Submit(SchedulerOutput step)
    {
        _results?.Submit(step);
        foreach (var rank in _others)
            rank.Submit(step);
        return Guarded(() => _first.Submit(step));
    }

    /// <inheritdoc/>
    public StepResult Complete()
    {
        foreach (var rank in _others)
            rank.BeginComplete();
        return Guarded(() =>
        {
            Keep(null, Sound(_first.Complete()));
            foreach (var rank in _others)
                Keep(rank, Sound(rank.Complete()));
            return _results?.Complete(_ofGroups) ?? _ofGroups[0];
        });
    }

    /// <inheritdoc/>
    public void Abort(Exception reason)
    {
        _abort(reason);
        foreach (var rank in _others)
            rank.Abort(reason);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // After this no rank waits for another, and all of them end at the same time.
        Abort(new RankFailedException("The engine has ended.", null));
        foreach (var rank in _others)
            rank.Stop();
        var failures = new List<Exception>();
        foreach (var rank in _others.Prepend<IStepExecutor>(_first))
        {
            try
            {
                rank.Dispose();
            }
            catch (Exception failure)
            {
                failures.Add(failure);
            }
        }

        if (failures.Count > 0)
            throw new AggregateException("Not all ranks could be freed.", failures);
    }

    // Keeps the result if the rank chooses a group's tokens; other ranks' results are not used.
    private void Keep(IRankExecutor? rank, StepResult result)
    {
        for (var group = 0; group < _sampling.Count; group++)
        {
            if (_sampling[group] == rank)
                _ofGroups[group] = result;
        }
    }

    private T Guarded<T>(Func<T> call)
    {
        try
        {
            return call();
        }
        catch (Exception failure)
        {
            _abort(failure);
            // If this rank only reports another rank's failure, throw that failure.
            if (failure is RankFailedException { InnerException: { } cause } and not { InnerException: RankFailedException })
                ExceptionDispatchInfo.Throw(cause);
            throw;
        }
    }

    // A rank whose step failed is no longer in step with the others.
    private static StepResult Sound(StepResult result) =>
        result.Failure is { } failure ? throw new StepFailedException(failure.Details) : result;
}
