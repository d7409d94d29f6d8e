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
/// Takes what waits in its order, up to a budget of tokens, and runs it: nothing is padded, so texts of any lengths go together, and no step is longer than the budget, so that whatever else uses the device has its turn.
/// </summary>
internal sealed class EmbeddingLoop(EncoderWorker worker, int maxBatchedTokens, IReadOnlySet<int> specialIds) : IDisposable
{
    private readonly Channel<IReadOnlyList<EmbeddingWork>> _inbox = Channel.CreateUnbounded<IReadOnlyList<EmbeddingWork>>(new() { SingleReader = true });
    private readonly List<EmbeddingWork> _waiting = []; // oldest first
    private volatile EngineException? _closed;

    /// <summary>Why nothing more is taken, or null.</summary>
    public EngineException? Closed => _closed;

    /// <summary>Queues the texts of a request at once, so that the first of them does not run alone.</summary>
    /// <exception cref="EngineException">The loop has ended.</exception>
    public void Submit(IReadOnlyList<EmbeddingWork> works)
    {
        if (!_inbox.Writer.TryWrite(works))
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
            while (_inbox.Reader.TryRead(out var works))
                _waiting.AddRange(works);
            _waiting.RemoveAll(work => work.CancellationToken.IsCancellationRequested && work.Result.TrySetCanceled(work.CancellationToken));
            if (_waiting.Count > 0)
                RunBatch(TakeBatch(_waiting, maxBatchedTokens));
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
    public void Dispose() => worker.Dispose();

    private static EngineException Ended() => new(EngineErrorKind.ShuttingDown, "The engine is shutting down and takes no more requests.");

    // This thread is the device's: it waits here for its life.
    private bool Wait() => _waiting.Count > 0 || _inbox.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult();

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
