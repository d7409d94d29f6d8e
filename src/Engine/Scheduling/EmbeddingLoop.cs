using System.Threading.Channels;
using LocalLlm.Execution;

namespace LocalLlm.Scheduling;

/// <summary>A text on its way through an embedding engine.</summary>
/// <param name="Ids">Its tokens.</param>
/// <param name="Kinds">What is wanted of it.</param>
/// <param name="CancellationToken">Cancelled when nobody waits any more.</param>
internal sealed record EmbeddingWork(int[] Ids, EmbeddingKinds Kinds, CancellationToken CancellationToken)
{
    /// <summary>The way back to the caller.</summary>
    public TaskCompletionSource<TextEmbedding> Result { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>
/// Takes what waits, the oldest text first and texts of similar length with it, up to a budget of tokens, and runs it: nothing is padded, and no step is longer than the budget, so that whatever else uses the device has its turn.
/// </summary>
internal sealed class EmbeddingLoop(EncoderWorker worker, int maxBatchedTokens, IReadOnlySet<int> specialIds) : IDisposable
{
    private readonly Channel<EmbeddingWork> _inbox = Channel.CreateUnbounded<EmbeddingWork>(new() { SingleReader = true });
    private readonly List<EmbeddingWork> _waiting = []; // oldest first
    private volatile EngineException? _closed;

    /// <summary>Why nothing more is taken, or null.</summary>
    public EngineException? Closed => _closed;

    /// <summary>Queues a text.</summary>
    /// <exception cref="EngineException">The loop has ended.</exception>
    public void Submit(EmbeddingWork work)
    {
        if (!_inbox.Writer.TryWrite(work))
            throw _closed ?? Ended();
    }

    /// <summary>Takes no more; what waits is still done.</summary>
    public void Stop()
    {
        _closed ??= Ended();
        _inbox.Writer.TryComplete();
    }

    /// <summary>Runs until it is stopped. Never throws: a batch that fails fails its texts.</summary>
    public void Run()
    {
        while (Wait())
        {
            while (_inbox.Reader.TryRead(out var work))
                _waiting.Add(work);
            _waiting.RemoveAll(work => work.CancellationToken.IsCancellationRequested && work.Result.TrySetCanceled(work.CancellationToken));
            if (_waiting.Count > 0)
                RunBatch(TakeBatch());
        }
    }

    /// <inheritdoc/>
    public void Dispose() => worker.Dispose();

    private static EngineException Ended() => new(EngineErrorKind.ShuttingDown, "The engine is shutting down and takes no more requests.");

    // This thread is the device's: it waits here for its life.
    private bool Wait() => _waiting.Count > 0 || _inbox.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult();

    private List<EmbeddingWork> TakeBatch()
    {
        var oldest = _waiting[0];
        var batch = new List<EmbeddingWork> { oldest };
        var tokens = oldest.Ids.Length;
        foreach (var work in _waiting.Skip(1).OrderBy(work => Math.Abs(work.Ids.Length - oldest.Ids.Length)).ToArray())
        {
            if (tokens + work.Ids.Length > maxBatchedTokens)
                continue;
            batch.Add(work);
            tokens += work.Ids.Length;
        }

        var taken = batch.ToHashSet();
        _waiting.RemoveAll(taken.Contains);
        // Texts of one length stand together: they are one batch of attention.
        batch.Sort((a, b) => a.Ids.Length.CompareTo(b.Ids.Length));
        return batch;
    }

    private void RunBatch(List<EmbeddingWork> batch)
    {
        try
        {
            var results = worker.Run([.. batch.Select(work => work.Ids)], [.. batch.Select(work => work.Kinds)], specialIds);
            for (var i = 0; i < batch.Count; i++)
                batch[i].Result.TrySetResult(results[i]);
        }
        catch (Exception failure)
        {
            foreach (var work in batch)
                work.Result.TrySetException(new EngineException(EngineErrorKind.GenerationFailed, "The step that computed this text failed.", innerException: failure));
        }
    }
}
