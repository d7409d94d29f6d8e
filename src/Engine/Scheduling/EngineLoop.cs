using LocalLlm.Execution;
using LocalLlm.KvCache;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Scheduling;

/// <summary>
/// The engine's heart: schedule → submit → complete → update → send, on the one thread that owns the scheduler and calls the executor.
/// Other threads only put commands into its <see cref="EngineInbox"/> and read what it publishes.
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

    /// <summary>Prepares the loop; <see cref="Run"/> starts it. Owns the executor from here on.</summary>
    /// <param name="executor">The devices.</param>
    /// <param name="inbox">What other threads ask of it.</param>
    /// <param name="settings">What of the engine's options concerns the loop.</param>
    /// <param name="drawSeed">Seed of a request that has none; called on the loop's thread.</param>
    /// <param name="logger">Receives failures, which no caller does.</param>
    /// <param name="time">The clock of all measurements and of the step's deadline.</param>
    public EngineLoop(IStepExecutor executor, EngineInbox inbox, EngineLoopSettings settings, Func<ulong> drawSeed, ILogger logger, TimeProvider time)
    {
        _executor = executor;
        _inbox = inbox;
        _capabilities = executor.Capabilities;
        _logger = logger;
        // One hasher: the hashes of a sequence's blocks are looked up in all of them.
        var hasher = BlockHasher.CreateRandom();
        _kvCaches = [.. Enumerable.Range(0, _capabilities.DataParallel)
            .Select(_ => new KvCacheManager(_capabilities.Plan.NumBlocks, _capabilities.Plan.BlockSize, settings.EnablePrefixCaching, hasher))];
        _scheduler = new(settings.Scheduler, _kvCaches, time);
        _statistics = _scheduler.Stats.ToStatistics(_kvCaches, 0, 0);
        _metrics = new(settings.ModelName, () => _statistics, settings.MeterScope);
        _outputs = new(_inbox, _metrics, time, logger);
        _commands = new(inbox, _scheduler, _kvCaches, _outputs, _capabilities, drawSeed);
        _watchdog = new(settings.StepDeadlines, time, Die);
        // Also while nothing runs, so that the next caller does not find out.
        executor.Lost?.ContinueWith(lost => _watchdog.GiveUp(lost.Result), TaskScheduler.Default);
    }

    /// <summary>The figures after the latest step.</summary>
    public EngineStatistics Statistics => _statistics;

    /// <summary>Completes if the loop was given up, as a step did not end or a device is gone: its thread may never return.</summary>
    public Task GivenUp => _watchdog.Expired;

    /// <summary>Runs until it is stopped. Never throws: a failure of the engine itself ends every request with it.</summary>
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
                _watchdog.Expired.Wait(); // nobody waits any more once this has ended
            else
                _inbox.Close();
        }
        catch (Exception failure)
        {
            // What waited for a device that is gone says so late.
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
        // A device that hangs may hang again when it is freed.
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

    // Waits where there is nothing to compute, which is the moment to look for leaks. False: the loop is over.
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

    // False: the step came too late, and the loop was given up meanwhile: everything but this thread's end is done.
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

    // As many as the executor takes ahead of the oldest, which is then waited for.
    private void SubmitSteps()
    {
        while (_scheduler.NumStepsInFlight == 0 || (_mayFollow && _scheduler.NumStepsInFlight < _capabilities.MaxStepsInFlight))
        {
            var step = _scheduler.Schedule(runAhead: _scheduler.NumStepsInFlight > 0 && _capabilities.FeedsSampledTokens);
            if (step.IsEmpty)
                return;
            _tokensInFlight.Enqueue(step.TotalTokens);
            _watchdog.Expect(step.TotalTokens);
            // Tokens that the host has to know first, or to choose itself, are no inputs of a step ahead. Other sequences fill a pipeline
            // meanwhile.
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

    // The engine cannot go on: every request ends with this error, later ones too. What failed is for the log; its text may hold what no
    // caller should see. Also called by the watchdog, on a thread of its own.
    private void Die(Exception failure)
    {
        // Two threads may notice at once. The second returns only when the callers have their error, as its own end counts as the engine's.
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
