using System.Threading.Channels;
using LocalLlm.Execution;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Scheduling;

/// <summary>
/// Takes texts of all requests in turn, up to a budget of tokens, and runs them: nothing is padded, so texts of any lengths go together,
/// and no step is longer than the budget, so that whatever else uses the device has its turn.
/// </summary>
internal sealed partial class EmbeddingLoop : IDisposable
{
    private readonly IEncoderExecutor _executor;
    private readonly IReadOnlySet<int> _specialIds;
    private readonly EmbeddingMetrics _metrics;
    private readonly ILogger _logger;
    private readonly StepWatchdog _watchdog;
    private readonly Channel<EmbeddingRequest> _inbox = Channel.CreateUnbounded<EmbeddingRequest>(new() { SingleReader = true });
    private readonly EmbeddingQueue _waiting = new();
    private volatile EngineException? _closed;
    private volatile bool _abandoned;
    private List<EmbeddingWork> _batch = []; // of the step that runs, whole, also while parts of it run
    private int _submitted;
    private int _running;
    private long _embedded;

    /// <param name="executor">The device; the loop owns it.</param>
    /// <param name="options">The budget of a step, and the scope of its measurements.</param>
    /// <param name="modelName">What clients call the model.</param>
    /// <param name="specialIds">Tokens that have no sparse weight.</param>
    /// <param name="logger">Gets what failed, which no caller does.</param>
    public EmbeddingLoop(IEncoderExecutor executor, EngineOptions options, string modelName, IReadOnlySet<int> specialIds, ILogger logger)
    {
        _executor = executor;
        _logger = logger;
        _watchdog = new(StepDeadlines.Of(options.StepTimeout, executor.StepTimeout), TimeProvider.System, Die);
        MaxBatchedTokens = options.MaxNumBatchedTokens ?? executor.StepTokens;
        _specialIds = specialIds;
        _metrics = new(modelName, () => Statistics, options.MeterScope);
    }

    /// <summary>Most tokens of a step, unless a text alone has more.</summary>
    public int MaxBatchedTokens { get; }

    /// <summary>Its figures at this moment.</summary>
    public EmbeddingStatistics Statistics
    {
        get
        {
            var running = Volatile.Read(ref _running);
            return new(running, Math.Max(0, Volatile.Read(ref _submitted) - running), Interlocked.Read(ref _embedded));
        }
    }

    /// <summary>Why nothing more is taken, or null.</summary>
    public EngineException? Closed => _closed;

    /// <summary>Completes if the loop was given up because a step did not end: its thread may never return.</summary>
    public Task GivenUp => _watchdog.Expired;

    /// <summary>Queues a request, all of its texts at once, so that the first of them does not run alone.</summary>
    /// <exception cref="EngineException">The loop has ended.</exception>
    public void Submit(EmbeddingRequest request)
    {
        Interlocked.Add(ref _submitted, request.Works.Count);
        if (_inbox.Writer.TryWrite(request))
            return;
        Interlocked.Add(ref _submitted, -request.Works.Count);
        throw _closed ?? Ended();
    }

    /// <summary>Takes no more; what waits is still done, and then the loop ends.</summary>
    public void BeginDrain()
    {
        _closed ??= Ended();
        _inbox.Writer.TryComplete();
    }

    /// <summary>Takes no more, and refuses what waits; the loop ends after the step that runs.</summary>
    public void Stop()
    {
        _abandoned = true;
        BeginDrain();
    }

    /// <summary>
    /// Runs until it is stopped, or the device does not work any more. Never throws: a batch that fails fails its texts, and a failure of
    /// the loop itself ends every request with it.
    /// </summary>
    public void Run()
    {
        try
        {
            while (Wait())
            {
                ReadInbox();
                if (_abandoned)
                    Fail(_waiting.TakeAll(), FinishReason.Abort, Ended());
                foreach (var request in _waiting.TakeCancelled())
                    GiveUp(request);
                if (_waiting.Tokens > 0)
                    RunStep();
            }
        }
        catch (GivenUpException)
        {
            // The watchdog's thread ends everything but this one; until it has, the engine must not look like one that ended as it should.
            _watchdog.Expired.Wait();
        }
        catch (Exception failure)
        {
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

    private static EngineException Ended() => new(EngineErrorKind.ShuttingDown, "The engine is shutting down and takes no more requests.");

    // This thread is the device's: it waits here for its life.
    private bool Wait() => _waiting.Tokens > 0 || _inbox.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult();

    private void ReadInbox()
    {
        while (_inbox.Reader.TryRead(out var request))
            _waiting.Add(request);
    }

    private void GiveUp(EmbeddingRequest request)
    {
        var left = request.TakeAll();
        End(left, FinishReason.Abort);
        foreach (var work in left)
            work.Result.TrySetCanceled(request.CancellationToken);
    }

    private void RunStep()
    {
        _batch = _waiting.TakeBatch(MaxBatchedTokens);
        foreach (var work in _batch.Where(work => !work.IsProbe))
            _metrics.Queued(work.Age);
        RunBatch(_batch);
        // Results are their callers' now.
        _batch = [];
    }

    private void RunBatch(List<EmbeddingWork> batch)
    {
        Volatile.Write(ref _running, batch.Count);
        TextEmbedding?[] results;
        try
        {
            results = Compute([.. batch.Select(work => work.Ids)], [.. batch.Select(work => work.Kinds)]);
        }
        catch (Exception failure) when (failure is not GivenUpException)
        {
            if (!Works())
                throw;
            LogStepFailed(batch.Count, failure);
            if (batch.Count == 1)
            {
                Fail(batch, FinishReason.Error, new(EngineErrorKind.GenerationFailed, "The step that computed this text failed.", innerException: failure));
                return;
            }

            // What is too much together may be enough apart, and one text's fault is not the others'.
            RunBatch(batch[..(batch.Count / 2)]);
            RunBatch(batch[(batch.Count / 2)..]);
            return;
        }

        if (batch.Where(work => !work.IsProbe).Sum(work => work.Ids.Length) is var tokens and > 0)
            _metrics.Step(tokens);
        List<EmbeddingWork> made = [.. batch.Where((_, i) => results[i] is not null)];
        Interlocked.Add(ref _embedded, made.Count);
        // Whoever has an answer finds it counted.
        End(made, FinishReason.Stop);
        for (var i = 0; i < batch.Count; i++)
        {
            if (results[i] is { } result)
                batch[i].Result.TrySetResult(result);
            else
                Fail([batch[i]], FinishReason.Error, new(EngineErrorKind.GenerationFailed, "The model made numbers of this text that are none; its weights are damaged, or need another dtype, such as bfloat16 or float32."));
        }
    }

    private void End(List<EmbeddingWork> works, FinishReason reason)
    {
        Interlocked.Add(ref _submitted, -works.Count);
        Volatile.Write(ref _running, 0);
        foreach (var work in works.Where(work => !work.IsProbe))
            _metrics.Finished(reason, work.Age);
    }

    private void Fail(List<EmbeddingWork> works, FinishReason reason, EngineException failure)
    {
        if (works.Count == 0)
            return;
        End(works, reason);
        foreach (var work in works)
            work.Result.TrySetException(failure);
    }

    // One text may be too much for the device's memory; the smallest one is not.
    private bool Works()
    {
        try
        {
            Compute([[0]], [EmbeddingKinds.Dense]);
            return true;
        }
        catch (Exception failure) when (failure is not GivenUpException)
        {
            return false;
        }
    }

    private TextEmbedding?[] Compute(int[][] texts, EmbeddingKinds[] kinds)
    {
        if (!_watchdog.Begin(texts.Sum(text => text.Length)))
            throw new GivenUpException();
        TextEmbedding?[] results;
        try
        {
            results = _executor.Run(texts, kinds, _specialIds);
        }
        catch (Exception)
        {
            if (!_watchdog.End())
                throw new GivenUpException();
            throw;
        }

        return _watchdog.End() ? results : throw new GivenUpException();
    }

    // Also called by the watchdog, on another thread, while this one waits for the device.
    private void Die(Exception failure)
    {
        _closed = new(EngineErrorKind.EngineDead, "The engine has failed and computes nothing any more; load the model again. The log says why.", innerException: failure);
        LogDead(failure);
        _inbox.Writer.TryComplete();
        ReadInbox();
        // Not measured: what measures may be what has failed.
        foreach (var work in _waiting.TakeAll().Concat(_batch))
            work.Result.TrySetException(_closed);
        Volatile.Write(ref _submitted, 0);
        Volatile.Write(ref _running, 0);
        _executor.Abort(failure);
    }

    [LoggerMessage(1, LogLevel.Critical, "The engine has failed and computes nothing any more.")]
    private partial void LogDead(Exception failure);

    [LoggerMessage(2, LogLevel.Error, "A step of {Texts} texts failed.")]
    private partial void LogStepFailed(int texts, Exception failure);

    // The step came too late, and the loop was given up meanwhile.
    private sealed class GivenUpException : Exception;
}
