using System.Diagnostics;
using System.Threading.Channels;
using LocalLlm.Execution;

namespace LocalLlm.Scheduling;

/// <summary>A text on its way through an embedding engine.</summary>
/// <param name="Ids">Its tokens.</param>
/// <param name="Kinds">What is wanted of it.</param>
/// <param name="CancellationToken">Cancelled when nobody waits any more.</param>
internal sealed record EmbeddingWork(int[] Ids, EmbeddingKinds Kinds, CancellationToken CancellationToken)
{
    private readonly long _arrival = Stopwatch.GetTimestamp();

    /// <summary>Whether it only asks for a sign of life; it is not measured.</summary>
    public bool IsProbe { get; init; }

    /// <summary>How long ago it came.</summary>
    public TimeSpan Age => Stopwatch.GetElapsedTime(_arrival);

    /// <summary>The way back to the caller.</summary>
    public TaskCompletionSource<TextEmbedding> Result { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>
/// Takes what waits in its order, up to a budget of tokens, and runs it: nothing is padded, so texts of any lengths go together, and no step is longer than the budget, so that whatever else uses the device has its turn.
/// </summary>
internal sealed class EmbeddingLoop : IDisposable
{
    private readonly EncoderWorker _worker;
    private readonly IReadOnlySet<int> _specialIds;
    private readonly EmbeddingMetrics _metrics;
    private readonly Channel<IReadOnlyList<EmbeddingWork>> _inbox = Channel.CreateUnbounded<IReadOnlyList<EmbeddingWork>>(new() { SingleReader = true });
    private readonly List<EmbeddingWork> _waiting = []; // oldest first
    private volatile EngineException? _closed;
    private int _submitted;
    private int _running;
    private long _embedded;

    /// <param name="worker">The device; the loop owns it.</param>
    /// <param name="options">The budget of a step, and what the model is called.</param>
    /// <param name="specialIds">Tokens that have no sparse weight.</param>
    public EmbeddingLoop(EncoderWorker worker, EngineOptions options, IReadOnlySet<int> specialIds)
    {
        _worker = worker;
        MaxBatchedTokens = options.MaxNumBatchedTokens ?? worker.StepTokens;
        _specialIds = specialIds;
        _metrics = new(LlmEngine.NameOf(options), () => Statistics, options.MeterScope);
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

    /// <summary>Queues the texts of a request at once, so that the first of them does not run alone.</summary>
    /// <exception cref="EngineException">The loop has ended.</exception>
    public void Submit(IReadOnlyList<EmbeddingWork> works)
    {
        Interlocked.Add(ref _submitted, works.Count);
        if (_inbox.Writer.TryWrite(works))
            return;
        Interlocked.Add(ref _submitted, -works.Count);
        throw _closed ?? Ended();
    }

    /// <summary>Takes no more; what waits is still done.</summary>
    public void Stop()
    {
        _closed ??= Ended();
        _inbox.Writer.TryComplete();
    }

    /// <summary>Runs until it is stopped, or the device does not work any more. A batch that fails fails its texts.</summary>
    public void Run()
    {
        while (Wait())
        {
            while (_inbox.Reader.TryRead(out var works))
                _waiting.AddRange(works);
            GiveUp();
            if (_waiting.Count > 0)
                RunBatch(TakeBatch(_waiting, MaxBatchedTokens));
        }
    }

    /// <summary>Takes the texts of the next step: the first that wait, at least one.</summary>
    /// <param name="waiting">Oldest first, not empty; what is taken leaves it.</param>
    /// <param name="maxTokens">Most tokens of a step, unless a text alone has more.</param>
    /// <returns>Longest first: those of one length stand together, where they can be one batch of attention, and long ones keep a GPU's blocks busy longest.</returns>
    internal static List<EmbeddingWork> TakeBatch(List<EmbeddingWork> waiting, int maxTokens)
    {
        // Steps of about the same size: a small one at the end would leave most of a GPU idle.
        var (all, longest) = (waiting.Sum(work => (long)work.Ids.Length), waiting.Max(work => work.Ids.Length));
        var steps = (all + maxTokens - 1) / maxTokens;
        var most = Math.Min(maxTokens, (all / steps) + longest);
        var (count, tokens) = (1, (long)waiting[0].Ids.Length);
        for (; count < waiting.Count && tokens + waiting[count].Ids.Length <= most; count++)
            tokens += waiting[count].Ids.Length;
        var batch = waiting[..count];
        waiting.RemoveRange(0, count);
        batch.Sort((a, b) => b.Ids.Length.CompareTo(a.Ids.Length));
        return batch;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _metrics.Dispose();
        _worker.Dispose();
    }

    private static EngineException Ended() => new(EngineErrorKind.ShuttingDown, "The engine is shutting down and takes no more requests.");

    // This thread is the device's: it waits here for its life.
    private bool Wait() => _waiting.Count > 0 || _inbox.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult();

    private void GiveUp()
    {
        var left = _waiting.FindAll(work => work.CancellationToken.IsCancellationRequested);
        if (left.Count == 0)
            return;
        _waiting.RemoveAll(left.ToHashSet().Contains);
        End(left, FinishReason.Abort);
        foreach (var work in left)
            work.Result.TrySetCanceled(work.CancellationToken);
    }

    private void RunBatch(List<EmbeddingWork> batch)
    {
        Volatile.Write(ref _running, batch.Count);
        foreach (var work in batch.Where(work => !work.IsProbe))
            _metrics.Queued(work.Age);
        TextEmbedding[] results;
        try
        {
            results = _worker.Run([.. batch.Select(work => work.Ids)], [.. batch.Select(work => work.Kinds)], _specialIds);
        }
        catch (Exception failure)
        {
            var works = Works();
            if (works && batch.Count > 1)
            {
                // What is too much together may be enough apart, and one text's fault is not the others'.
                RunBatch(batch[..(batch.Count / 2)]);
                RunBatch(batch[(batch.Count / 2)..]);
                return;
            }

            End(batch, FinishReason.Error);
            foreach (var work in batch)
                work.Result.TrySetException(new EngineException(EngineErrorKind.GenerationFailed, "The step that computed this text failed.", innerException: failure));
            if (!works)
                Die(failure);
            return;
        }

        if (batch.Where(work => !work.IsProbe).Sum(work => work.Ids.Length) is var tokens and > 0)
            _metrics.Step(tokens);
        Interlocked.Add(ref _embedded, batch.Count);
        // Whoever has an answer finds it counted.
        End(batch, FinishReason.Stop);
        for (var i = 0; i < batch.Count; i++)
            batch[i].Result.TrySetResult(results[i]);
    }

    private void End(List<EmbeddingWork> works, FinishReason reason)
    {
        Interlocked.Add(ref _submitted, -works.Count);
        Volatile.Write(ref _running, 0);
        foreach (var work in works.Where(work => !work.IsProbe))
            _metrics.Finished(reason, work.Age);
    }

    // One text may be too much for the device's memory; the smallest one is not.
    private bool Works()
    {
        try
        {
            _worker.Run([[0]], [EmbeddingKinds.Dense], _specialIds);
            return true;
        }
        catch (Exception)
        {
            return false;
        }
    }

    private void Die(Exception failure)
    {
        _closed = new(EngineErrorKind.EngineDead, "The engine has failed and computes nothing any more; load the model again.", innerException: failure);
        _inbox.Writer.TryComplete();
        while (_inbox.Reader.TryRead(out var works))
            _waiting.AddRange(works);
        var left = _waiting.ToList();
        _waiting.Clear();
        End(left, FinishReason.Error);
        foreach (var work in left)
            work.Result.TrySetException(_closed);
    }
}
