using System.Threading.Channels;
using LocalLlm.Execution;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Scheduling;

/// <summary>
/// Takes texts from all requests in turn, up to a token budget, and runs them as a step. Texts are not padded, so texts of any length run
/// together. The budget bounds the length of a step, so that other users of the device get their turn.
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
    private List<EmbeddingWork> _batch = []; // the whole running step, even while only a part of it runs
    private int _submitted;
    private int _running;
    private long _embedded;

    /// <param name="executor">The device; the loop owns it.</param>
    /// <param name="options">The options: the budget of a step, and the scope of its measurements.</param>
    /// <param name="modelName">The model name that clients use.</param>
    /// <param name="specialIds">Tokens that have no sparse weight.</param>
    /// <param name="logger">Receives failures, whose details no caller gets.</param>
    public EmbeddingLoop(IEncoderExecutor executor, EngineOptions options, string modelName, IReadOnlySet<int> specialIds, ILogger logger)
    {
        _executor = executor;
        _logger = logger;
        _watchdog = new(StepDeadlines.Of(options.StepTimeout, executor.StepTimeout), TimeProvider.System, Die);
        MaxBatchedTokens = options.MaxNumBatchedTokens ?? executor.StepTokens;
        _specialIds = specialIds;
        _metrics = new(modelName, () => Statistics, options.MeterScope);
    }

    /// <summary>Maximum number of tokens of a step; a single longer text gets a step of its own.</summary>
    public int MaxBatchedTokens { get; }

    /// <summary>The current figures.</summary>
    public EmbeddingStatistics Statistics
    {
        get
        {
            var running = Volatile.Read(ref _running);
            return new(running, Math.Max(0, Volatile.Read(ref _submitted) - running), Interlocked.Read(ref _embedded));
        }
    }

    /// <summary>Why the loop accepts no more requests, or null if it does.</summary>
    public EngineException? Closed => _closed;

    /// <summary>Completes if the loop was given up because a step did not end: the loop's thread may never return.</summary>
    public Task GivenUp => _watchdog.Expired;

    /// <summary>Queues all texts of a request at once, so that the first one does not run alone.</summary>
    /// <exception cref="EngineException">The loop has ended.</exception>
    public void Submit(EmbeddingRequest request)
    {
        Interlocked.Add(ref _submitted, request.Works.Count);
        if (_inbox.Writer.TryWrite(request))
            return;
        Interlocked.Add(ref _submitted, -request.Works.Count);
        throw _closed ?? Ended();
    }

    /// <summary>Accepts no more requests, computes the waiting ones, and then ends the loop.</summary>
    public void BeginDrain()
    {
        _closed ??= Ended();
        _inbox.Writer.TryComplete();
    }

    /// <summary>Accepts no more requests and refuses the waiting ones; the loop ends after the running step.</summary>
    public void Stop()
    {
        _abandoned = true;
        BeginDrain();
    }

    /// <summary>
    /// Runs until the loop is stopped or the device has failed. Never throws: a failed batch fails its own texts, and a failure of the
    /// loop itself ends every request with that error.
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
            // The watchdog's thread ends everything else. Until it has, this thread must not return, or the engine would seem to have
            // ended normally.
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

    private static EngineException Ended() => new(EngineErrorKind.ShuttingDown, "The engine is shutting down and takes no more requests.");

    // The device belongs to this thread, so it blocks here.
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
        // The results now belong to their callers.
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

            // The texts may exceed the memory only together, and one faulty text must not fail the others: run the halves separately.
            RunBatch(batch[..(batch.Count / 2)]);
            RunBatch(batch[(batch.Count / 2)..]);
            return;
        }

        if (batch.Where(work => !work.IsProbe).Sum(work => work.Ids.Length) is var tokens and > 0)
            _metrics.Step(tokens);
        List<EmbeddingWork> made = [.. batch.Where((_, i) => results[i] is not null)];
        Interlocked.Add(ref _embedded, made.Count);
        // Count first: a caller that has its result must find it counted.
        End(made, FinishReason.Stop);
        for (var i = 0; i < batch.Count; i++)
        {
            if (results[i] is { } result)
                batch[i].Result.TrySetResult(result);
            else
                Fail([batch[i]], FinishReason.Error, new(EngineErrorKind.GenerationFailed, "The model produced non-finite values for this text; its weights are damaged, or need another dtype, such as bfloat16 or float32."));
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

    // Tests the device with the smallest text: a large one may fail for lack of memory, the smallest may not.
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

    // The watchdog also calls this, on another thread, while this thread waits for the device.
    private void Die(Exception failure)
    {
        _closed = new(EngineErrorKind.EngineDead, "The engine has failed and accepts no more requests; load the model again. The log says why.", innerException: failure);
        LogDead(failure);
        _inbox.Writer.TryComplete();
        ReadInbox();
        // Records no metrics here, because they may be what has failed.
        foreach (var work in _waiting.TakeAll().Concat(_batch))
            work.Result.TrySetException(_closed);
        Volatile.Write(ref _submitted, 0);
        Volatile.Write(ref _running, 0);
        _executor.Abort(failure);
    }

    [LoggerMessage(1, LogLevel.Critical, "The engine has failed and accepts no more requests.")]
    private partial void LogDead(Exception failure);

    [LoggerMessage(2, LogLevel.Error, "A step of {Texts} texts failed.")]
    private partial void LogStepFailed(int texts, Exception failure);

    // The step took too long, and the watchdog gave the loop up.
    private sealed class GivenUpException : Exception;
}
