using System.Diagnostics;

namespace LocalLlm.Scheduling;

/// <summary>A text that an embedding engine is to compute.</summary>
/// <param name="Ids">The text's tokens.</param>
/// <param name="Kinds">The requested kinds of embedding.</param>
internal sealed record EmbeddingWork(int[] Ids, EmbeddingKinds Kinds)
{
    private readonly long _arrival = Stopwatch.GetTimestamp();

    /// <summary>Whether this only checks that the engine works; metrics leave it out.</summary>
    public bool IsProbe { get; init; }

    /// <summary>Time since the text arrived.</summary>
    public TimeSpan Age => Stopwatch.GetElapsedTime(_arrival);

    /// <summary>Delivers the result to the caller.</summary>
    public TaskCompletionSource<TextEmbedding> Result { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>The texts of one request.</summary>
/// <param name="works">At least one.</param>
/// <param name="cancellationToken">Cancelled when the caller no longer waits.</param>
internal sealed class EmbeddingRequest(IReadOnlyList<EmbeddingWork> works, CancellationToken cancellationToken)
{
    private int _taken;

    /// <summary>All of the request's texts.</summary>
    public IReadOnlyList<EmbeddingWork> Works { get; } = works;

    /// <summary>Cancelled when the caller no longer waits.</summary>
    public CancellationToken CancellationToken { get; } = cancellationToken;

    /// <summary>The next text, or null if none is left.</summary>
    public EmbeddingWork? Next => _taken < Works.Count ? Works[_taken] : null;

    /// <summary>Tokens of the texts that have not been taken.</summary>
    public long Tokens { get; private set; } = works.Sum(work => (long)work.Ids.Length);

    /// <summary>Takes the next text.</summary>
    public EmbeddingWork Take()
    {
        var work = Works[_taken++];
        Tokens -= work.Ids.Length;
        return work;
    }

    /// <summary>Takes all remaining texts.</summary>
    public List<EmbeddingWork> TakeAll()
    {
        var left = Works.Skip(_taken).ToList();
        (_taken, Tokens) = (Works.Count, 0);
        return left;
    }
}

/// <summary>
/// Requests with waiting texts. A step takes texts from all requests in turn, so that a short request does not wait for a long one. The
/// texts of one request keep their order.
/// </summary>
internal sealed class EmbeddingQueue
{
    // A step may exceed an equal part of all waiting tokens by one part in this many of the budget.
    private const int SlackOf = 8;
    private readonly LinkedList<EmbeddingRequest> _requests = new(); // the next in turn comes first

    /// <summary>Number of waiting tokens.</summary>
    public long Tokens { get; private set; }

    /// <summary>Adds a request, whose turn comes after all others.</summary>
    public void Add(EmbeddingRequest request)
    {
        _requests.AddLast(request);
        Tokens += request.Tokens;
    }

    /// <summary>Takes the texts of the next step; at least one must be waiting.</summary>
    /// <param name="maxTokens">Maximum number of tokens of a step; a single longer text gets a step of its own.</param>
    /// <returns>The texts, longest first: texts of equal length are adjacent and can form one batch of attention, and starting with the
    /// long ones keeps a GPU's blocks busy.</returns>
    public List<EmbeddingWork> TakeBatch(int maxTokens)
    {
        // Make all steps about the same size: a small one at the end would leave most of a GPU idle.
        var steps = (Tokens + maxTokens - 1) / maxTokens;
        var most = Math.Min(maxTokens, (Tokens / steps) + (maxTokens / SlackOf));
        var (batch, taken) = (new List<EmbeddingWork>(), 0L);
        while (_requests.First is { } turn && (batch.Count == 0 || taken + turn.Value.Next!.Ids.Length <= most))
        {
            var work = turn.Value.Take();
            batch.Add(work);
            taken += work.Ids.Length;
            _requests.RemoveFirst();
            if (turn.Value.Next is not null)
                _requests.AddLast(turn);
        }

        Tokens -= taken;
        batch.Sort((a, b) => b.Ids.Length.CompareTo(a.Ids.Length));
        return batch;
    }

    /// <summary>Takes the cancelled requests out.</summary>
    public IReadOnlyList<EmbeddingRequest> TakeCancelled()
    {
        List<EmbeddingRequest>? cancelled = null;
        for (var node = _requests.First; node is not null;)
        {
            var next = node.Next;
            if (node.Value.CancellationToken.IsCancellationRequested)
            {
                (cancelled ??= []).Add(node.Value);
                Tokens -= node.Value.Tokens;
                _requests.Remove(node);
            }

            node = next;
        }

        return cancelled ?? [];
    }

    /// <summary>Takes everything out.</summary>
    public List<EmbeddingWork> TakeAll()
    {
        var left = _requests.SelectMany(request => request.TakeAll()).ToList();
        _requests.Clear();
        Tokens = 0;
        return left;
    }
}
