using LocalLlm.Execution;
using LocalLlm.KvCache;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Scheduling;

/// <summary>
/// The engine loop: schedule → submit → complete → update → send. It runs on the one thread that owns the scheduler and calls the
/// executor. Other threads only put commands into its <see cref="EngineInbox"/> and read the figures that it publishes.
/// </summary>
internal sealed partial class EngineLoop : IDisposable
{
    private const int MaxFailuresInARow = 3;

    private readonly IStepExecutor _executor;
    private readonly ExecutorCapabilities _capabilities;
    private readonly KvCacheManager[] _kvCaches; // of each data-parallel group
    private readonly Scheduler _scheduler;
    private readonly EngineMetrics _metrics;
    private readonly OutputProcessor _outputs;
    private readonly EngineInbox _inbox;
    private readonly StepWatchdog _watchdog;
    private readonly ILogger _logger;
    private readonly CommandReader _commands;
    private readonly Lock _dying = new();
    private readonly Queue<int> _tokensInFlight = new(); // of each step, oldest first
    private long _numSteps;
    private int _failuresInARow;
    private bool _mayFollow; // another step may be submitted before the latest one is complete
    private bool _isDead;
    private volatile EngineStatistics _statistics;

    /// <summary>Prepares the loop, which from now on owns the executor; <see cref="Run"/> starts it.</summary>
    /// <param name="executor">The devices.</param>
    /// <param name="inbox">Other threads' commands.</param>
    /// <param name="settings">The engine's options for the loop.</param>
    /// <param name="drawSeed">Draws a seed for a request without one; called on the loop's thread.</param>
    /// <param name="logger">Receives failures, whose details no caller gets.</param>
    /// <param name="time">The clock of all measurements and of step deadlines.</param>
    public EngineLoop(IStepExecutor executor, EngineInbox inbox, EngineLoopSettings settings, Func<ulong> drawSeed, ILogger logger, TimeProvider time)
    {
        _executor = executor;
        _inbox = inbox;
        _capabilities = executor.Capabilities;
        _logger = logger;
        // All KV caches share one hasher, because the hashes of a sequence's blocks are looked up in each of them.
        var hasher = BlockHasher.CreateRandom();
        _kvCaches = [.. Enumerable.Range(0, _capabilities.DataParallel)
            .Select(_ => new KvCacheManager(_capabilities.Plan.NumBlocks, _capabilities.Plan.BlockSize, settings.EnablePrefixCaching, hasher))];
        _scheduler = new(settings.Scheduler, _kvCaches, time);
        _statistics = _scheduler.Stats.ToStatistics(_kvCaches, 0, 0);
        _metrics = new(settings.ModelName, () => _statistics, settings.MeterScope);
        _outputs = new(_inbox, _metrics, time, logger);
        _commands = new(inbox, _scheduler, _kvCaches, _outputs, _capabilities, drawSeed);
        _watchdog = new(settings.StepDeadlines, time, Die);
        // This also watches while no step runs, so that a lost executor shows before the next request.
        executor.Lost?.ContinueWith(lost => _watchdog.GiveUp(lost.Result), TaskScheduler.Default);
    }

    /// <summary>The figures after the latest step.</summary>
    public EngineStatistics Statistics => _statistics;

    /// <summary>
    /// Completes if the loop was given up, because a step did not end or a device was lost: its thread may never return.
    /// </summary>
    public Task GivenUp => _watchdog.Expired;

    /// <summary>Runs until it is stopped. Never throws: a failure of the engine itself ends every request with that error.</summary>
    public void Run()
    {
        try
        {
            while (ReadInbox())
            {
                if (!Step())
                    break;
            }

            if (_watchdog.HasGivenUp)
                _watchdog.Expired.Wait(); // after this, no caller waits any more
            else
                _inbox.Close();
        }
        catch (Exception failure)
        {
            // A call that waited for a lost device may report it only now.
            _watchdog.End();
            if (_watchdog.HasGivenUp)
                _watchdog.Expired.Wait();
            else
                Die(failure);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Freeing a hung device may hang too, so the watchdog guards it.
        _watchdog.Begin(0);
        try
        {
            _executor.Dispose();
        }
        finally
        {
            _watchdog.End();
            _watchdog.Dispose();
            _metrics.Dispose();
        }
    }

    // Waits if there is nothing to compute; idle moments are also when the engine checks for leaks. False: the loop is over.
    private bool ReadInbox()
    {
        while (true)
        {
            _commands.ObeyAll();
            _outputs.SendAll();
            if (_scheduler.HasUnfinished || _scheduler.NumStepsInFlight > 0)
                return true;
            _scheduler.CheckIntegrity();
            _statistics = TakeStatistics();
            if (_commands.IsDraining || _watchdog.HasGivenUp)
                return false;
            _inbox.Wait();
        }
    }

    // False: the step took too long and the loop was given up. Only this thread is still to end.
    private bool Step()
    {
        if (!_watchdog.Begin(MaxTokensInFlight()))
            return false;
        SubmitSteps();
        var result = _scheduler.NumStepsInFlight > 0 ? _executor.Complete() : null;
        _tokensInFlight.TryDequeue(out _);
        if (!_watchdog.End())
            return false;
        if (result?.Failure is { } failure)
            Fail(result.StepId, failure);
        else if (result is not null)
            Update(result);
        _outputs.SendAll();
        return true;
    }

    private int MaxTokensInFlight()
    {
        var most = 0;
        foreach (var tokens in _tokensInFlight)
            most = Math.Max(most, tokens);
        return most;
    }

    // Submits as many steps as the executor accepts; the caller then waits for the oldest one.
    private void SubmitSteps()
    {
        while (_scheduler.NumStepsInFlight == 0 || (_mayFollow && _scheduler.NumStepsInFlight < _capabilities.MaxStepsInFlight))
        {
            var step = _scheduler.Schedule(runAhead: _scheduler.NumStepsInFlight > 0 && _capabilities.FeedsSampledTokens);
            if (step.IsEmpty)
                return;
            _tokensInFlight.Enqueue(step.TotalTokens);
            _watchdog.Expect(step.TotalTokens);
            // If the host must know or sample this step's tokens first, the next step cannot take them as inputs. In a pipeline, other
            // sequences fill the next steps meanwhile.
            var needsHost = _capabilities is { FeedsSampledTokens: true, PipelineStages: 1 } && (step.SamplesOnHost || step.NeedsHistory);
            _mayFollow = _executor.Submit(step) && !needsHost;
        }
    }

    private void Fail(long stepId, StepFailure failure)
    {
        var reason = new StepFailedException(failure.Details);
        LogStepFailed(reason);
        if (failure.IsFatal || ++_failuresInARow >= MaxFailuresInARow)
            throw reason;
        foreach (var update in _scheduler.FailStep(stepId))
        {
            _outputs.End(
                update.Sequence,
                new EngineException(EngineErrorKind.GenerationFailed, "The step that computed this sequence failed.", innerException: reason));
        }
    }

    private void Update(StepResult result)
    {
        _failuresInARow = 0;
        _numSteps++;
        var updates = _scheduler.Update(result);
        var numTokens = 0;
        for (var i = 0; i < updates.Count; i++)
        {
            numTokens += updates[i].NumScheduledTokens;
            if (_outputs.Append(updates[i], result.Sequences[i]) is { } reason)
                _scheduler.Finish(updates[i].Sequence, reason);
        }

        _metrics.Step(numTokens);
        _statistics = TakeStatistics();
    }

    private EngineStatistics TakeStatistics() => _scheduler.Stats.ToStatistics(_kvCaches, _numSteps, _outputs.NumGeneratedTokens);

    // The engine cannot go on: every request ends with this error, and so does every later one. The failure itself goes to the log,
    // because its text may hold details that no caller should see. The watchdog also calls this, on a thread of its own.
    private void Die(Exception failure)
    {
        // Two threads may notice a failure at once. The second must return only after the callers have their error, because its return
        // counts as the engine's end.
        lock (_dying)
        {
            if (_isDead)
                return;
            _isDead = true;
            _inbox.Close(new(
                EngineErrorKind.EngineDead, "The engine has failed and takes no more requests; load the model again. The log says why.", innerException: failure));
        }

        LogDead(failure);
        _executor.Abort(failure);
    }

    [LoggerMessage(1, LogLevel.Critical, "The engine has failed and takes no more requests.")]
    private partial void LogDead(Exception failure);

    [LoggerMessage(2, LogLevel.Error, "A step failed; its sequences end with an error.")]
    private partial void LogStepFailed(Exception failure);
}
