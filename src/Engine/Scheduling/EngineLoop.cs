using System.Collections.Concurrent;
using LocalLlm.Execution;
using LocalLlm.KvCache;
using LocalLlm.Sampling;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Scheduling;

/// <summary>
/// The engine's heart: schedule → launch → update, on the one thread that owns the scheduler and the worker. Other threads only put
/// commands into its inbox and read what it publishes.
/// </summary>
internal sealed partial class EngineLoop : ISequenceObserver, IDisposable
{
    private const int MaxFailuresInARow = 3;
    private const int MaxStepsLaunched = 2;

    private readonly Worker _worker;
    private readonly KvCacheManager _kvCache;
    private readonly Scheduler _scheduler;
    private readonly SchedulerOptions _options;
    private readonly EngineMetrics _metrics;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly ConcurrentQueue<Action> _inbox = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Dictionary<long, LiveSequence> _live = [];
    private readonly List<LiveSequence> _unsent = [];
    private readonly Queue<SchedulerOutput> _launched = []; // oldest first
    private readonly Func<ulong> _drawSeed;
    private int[] _sampled = [];
    private long _nextSequenceId;
    private long _steps;
    private long _generatedTokens;
    private int _failuresInARow;
    private bool _stopping;
    private volatile EngineStatistics _statistics;
    private volatile EngineException? _closed;

    /// <summary>Prepares the loop; <see cref="Run"/> starts it. Owns the worker from here on.</summary>
    public EngineLoop(Worker worker, MemoryPlan plan, SchedulerOptions options, bool enablePrefixCaching, string modelName, Func<ulong> drawSeed, ILogger logger, TimeProvider time, object? meterScope = null)
    {
        _worker = worker;
        _options = options;
        _drawSeed = drawSeed;
        _logger = logger;
        _time = time;
        _kvCache = new(plan.NumBlocks, plan.BlockSize, enablePrefixCaching);
        _scheduler = new(options, _kvCache, this, time);
        _statistics = TakeStatistics();
        _metrics = new(modelName, () => _statistics, meterScope);
    }

    /// <summary>The figures after the latest step.</summary>
    public EngineStatistics Statistics => _statistics;

    /// <summary>Why no more requests are taken, or null.</summary>
    public EngineException? Closed => _closed;

    /// <summary>Queues a request; any refusal comes through its stream.</summary>
    public void Submit(LiveRequest request)
    {
        Post(() => Add(request));
        // The loop may have ended before it saw the command; then nobody else would answer.
        if (_closed is { } closed)
            request.Complete(closed);
    }

    /// <summary>Ends a request whose caller has left; without effect if it has ended.</summary>
    public void Abort(LiveRequest request) => Post(() =>
    {
        foreach (var sequence in request.Sequences)
            _scheduler.Abort(sequence.Sequence.Id);
        request.Complete(null);
    });

    /// <summary>Forgets all cached prefixes.</summary>
    public void ResetPrefixCache() => Post(_scheduler.ResetPrefixCache);

    /// <summary>What the KV blocks are used for; see <see cref="LlmEngine.MapKvBlocksAsync"/>.</summary>
    public async Task<string> MapKvBlocksAsync(int cells, Task ended)
    {
        var map = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() => map.TrySetResult(KvBlockMap.Draw(_kvCache, cells)));
        // Nobody reads the inbox of a loop that has ended.
        await Task.WhenAny(map.Task, ended).ConfigureAwait(false);
        return map.Task.IsCompletedSuccessfully ? map.Task.Result : "";
    }

    /// <summary>Takes no more requests and lets the running ones finish; then the loop ends.</summary>
    public void BeginDrain()
    {
        _closed ??= new(EngineErrorKind.ShuttingDown, "The engine is shutting down and takes no more requests.");
        Post(() => _stopping = true);
    }

    /// <summary>Ends every request and then the loop.</summary>
    public void Stop()
    {
        BeginDrain();
        Post(() => _scheduler.FinishAll(FinishReason.Abort));
    }

    /// <summary>Runs until it is stopped. Never throws: a failure of the engine itself ends every request with it.</summary>
    public void Run()
    {
        try
        {
            while (true)
            {
                ReadInbox();
                if (_scheduler.HasUnfinished || _launched.Count > 0)
                    Step();
                else if (!Idle())
                    return;
            }
        }
        catch (Exception failure)
        {
            Die(failure);
        }
    }

    /// <inheritdoc/>
    FinishReason? ISequenceObserver.OnToken(Sequence sequence, int tokenId)
    {
        var live = (LiveSequence)sequence.Tag!;
        var now = sequence.LastTokenTimestamp!.Value;
        _generatedTokens++;
        if (live.Request.IsProbe)
            return live.Append(tokenId);
        if (live.LastTokenTimestamp is { } last)
            _metrics.NextToken(_time.GetElapsedTime(last, now));
        else
            _metrics.FirstToken(_time.GetElapsedTime(sequence.ArrivalTimestamp, now), sequence.NumPromptTokens);
        live.LastTokenTimestamp = now;
        return live.Append(tokenId);
    }

    /// <inheritdoc/>
    void ISequenceObserver.OnFinished(Sequence sequence)
    {
        _live.Remove(sequence.Id);
        _unsent.Add((LiveSequence)sequence.Tag!);
        if (sequence.FirstScheduledTimestamp is null)
            _worker.RemoveSequence(sequence.Id);
        if (!((LiveSequence)sequence.Tag!).Request.IsProbe)
        {
            if (sequence.FirstScheduledTimestamp is { } scheduled)
                _metrics.Queued(_time.GetElapsedTime(sequence.ArrivalTimestamp, scheduled));
            _metrics.Finished(sequence.FinishReason!.Value, _time.GetElapsedTime(sequence.ArrivalTimestamp));
        }

        if (sequence.FinishReason == FinishReason.Error)
            LogSequenceFailed(sequence.Id, sequence.Failure);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _worker.Dispose();
        _metrics.Dispose();
    }

    private void Post(Action command)
    {
        _inbox.Enqueue(command);
        // Never disposed: a caller may still post while the loop ends. One token is enough, however many commands wait.
        if (_wake.CurrentCount == 0)
            _wake.Release();
    }

    private void ReadInbox()
    {
        while (_inbox.TryDequeue(out var command))
            command();
        SendAll();
    }

    // Nothing to compute: the moment to look for leaks. Returns false when the loop is over.
    private bool Idle()
    {
        _scheduler.CheckIntegrity();
        _statistics = TakeStatistics();
        if (_stopping)
            return false;
        _wake.Wait();
        return true;
    }

    // The next step is launched while the device still computes the one before, where its tokens can be used without being known.
    private void Step()
    {
        while (_launched.Count == 0 || (_launched.Count < MaxStepsLaunched && _worker.RunsAhead))
        {
            var step = _scheduler.Schedule(runAhead: _launched.Count > 0);
            if (step.Sequences.Count == 0)
                break;
            if (!TryLaunch(step))
                return;
        }

        if (_launched.Count > 0)
            CompleteOldest();
    }

    private bool TryLaunch(SchedulerOutput step)
    {
        try
        {
            _worker.Launch(step);
        }
        catch (Exception failure) when (MayGoOn(failure))
        {
            // Steps are reported back in order; that an older one was good does not make up for this one.
            var failures = _failuresInARow;
            while (_launched.Count > 0)
                CompleteOldest();
            _failuresInARow = failures;
            Fail(step, failure);
            return false;
        }

        _launched.Enqueue(step);
        return true;
    }

    private void CompleteOldest()
    {
        var step = _launched.Dequeue();
        IReadOnlyList<SequenceResult> results;
        try
        {
            results = _worker.Complete();
            _failuresInARow = 0;
        }
        catch (Exception failure) when (MayGoOn(failure))
        {
            Fail(step, failure);
            return;
        }

        Update(step, results);
    }

    private bool MayGoOn(Exception failure) => ++_failuresInARow < MaxFailuresInARow && failure is not OutOfMemoryException;

    private void Fail(SchedulerOutput step, Exception failure)
    {
        LogStepFailed(failure);
        _scheduler.FailStep(step, new EngineException(EngineErrorKind.GenerationFailed, "The step that computed this sequence failed.", innerException: failure));
        SendAll();
    }

    private void Update(SchedulerOutput step, IReadOnlyList<SequenceResult> results)
    {
        if (_sampled.Length < results.Count)
            _sampled = new int[Math.Max(results.Count, 2 * _sampled.Length)];
        for (var i = 0; i < results.Count; i++)
        {
            var result = results[i];
            _sampled[i] = result.Sampled?.TokenId ?? 0;
            if (!_live.TryGetValue(result.SequenceId, out var live))
                continue;
            live.NextLogprobs = result.Sampled?.Logprobs;
            live.Failure = result.Failure ?? result.Sampled?.ToException();
            if (result.PromptLogprobs is { } promptLogprobs)
                live.Failure ??= SetPromptLogprobs(live, step.Sequences[i].FirstPosition + 1, promptLogprobs);
            _unsent.Add(live);
        }

        _steps++;
        _metrics.Step(step.TotalTokens);
        _scheduler.Update(step, _sampled.AsSpan(0, results.Count));
        for (var i = 0; i < results.Count; i++)
        {
            if (_live.TryGetValue(results[i].SequenceId, out var live) && live.Failure is not null)
                _scheduler.Finish(live.Sequence, FinishReason.Error);
        }

        _statistics = TakeStatistics();
        SendAll();
    }

    // What goes wrong in making one sequence's output ends that sequence alone.
    private EngineException? SetPromptLogprobs(LiveSequence live, int first, IReadOnlyList<TokenLogprobs> logprobs)
    {
        try
        {
            live.SetPromptLogprobs(first, logprobs);
            return null;
        }
        catch (Exception failure)
        {
            LogSequenceFailed(live.Sequence.Id, failure);
            return LiveSequence.OutputFailed(failure);
        }
    }

    private void Add(LiveRequest request)
    {
        if (_closed is { } closed)
        {
            request.Complete(closed);
            return;
        }

        var sampling = request.Sampling;
        var seed = sampling.Seed is null ? _drawSeed() : 0;
        var salt = _worker.IsPromptSpecific(request.PromptTokenIds.Length) ? $"{request.CacheSalt}\0{request.PromptTokenIds.Length}" : request.CacheSalt;
        var sequences = new Sequence[sampling.N];
        for (var i = 0; i < sequences.Length; i++)
        {
            sequences[i] = new Sequence(_nextSequenceId++, request.PromptTokenIds, sampling.MaxTokens, salt)
            {
                NeedsPromptLogits = sampling.PromptLogprobs is not null && i == 0,
            };
        }

        request.Sequences = [.. sequences.Select((sequence, index) => new LiveSequence(request, index, sequence, _options.MaxModelLen))];
        for (var i = 0; i < sequences.Length; i++)
            sequences[i].Tag = request.Sequences[i];
        try
        {
            _scheduler.AddGroup(sequences);
        }
        catch (EngineException refusal)
        {
            request.Sequences = [];
            request.Complete(refusal);
            return;
        }

        for (var i = 0; i < sequences.Length; i++)
        {
            _live.Add(sequences[i].Id, request.Sequences[i]);
            _worker.AddSequence(sequences[i].Id, new SamplingState(sampling, i, seed, request.PromptTokenIds), request.PromptTokenIds);
        }
    }

    private void SendAll()
    {
        foreach (var live in _unsent)
        {
            if (live.Send() is { } failure)
                LogSequenceFailed(live.Sequence.Id, failure);
        }

        _unsent.Clear();
    }

    private EngineStatistics TakeStatistics()
    {
        var stats = _scheduler.Stats;
        return new(
            stats.NumRunning,
            stats.NumWaiting,
            stats.KvCacheUsage,
            _kvCache.NumBlocks,
            _kvCache.NumFreeBlocks,
            stats.NumPreemptions,
            stats.PrefixCacheQueries,
            stats.PrefixCacheHits,
            _steps,
            _generatedTokens);
    }

    // The engine cannot go on: every request ends with this error, later ones too. What failed is for the log; its text may hold what no
    // caller should see.
    private void Die(Exception failure)
    {
        var dead = new EngineException(EngineErrorKind.EngineDead, "The engine has failed and takes no more requests; load the model again. The log says why.", innerException: failure);
        _closed = dead;
        LogDead(failure);
        foreach (var live in _live.Values.ToArray())
            live.Request.Complete(dead);
        _live.Clear();
        while (_inbox.TryDequeue(out var command))
            command();
    }

    [LoggerMessage(1, LogLevel.Critical, "The engine has failed and takes no more requests.")]
    private partial void LogDead(Exception failure);

    [LoggerMessage(2, LogLevel.Error, "A step failed; its sequences end with an error.")]
    private partial void LogStepFailed(Exception failure);

    [LoggerMessage(3, LogLevel.Warning, "Sequence {SequenceId} ended with an error.")]
    private partial void LogSequenceFailed(long sequenceId, Exception? failure);
}
