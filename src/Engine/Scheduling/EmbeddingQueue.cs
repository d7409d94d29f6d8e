using System.Diagnostics;

namespace LocalLlm.Scheduling;

/// <summary>A text on its way through an embedding engine.</summary>
/// <param name="Ids">Its tokens.</param>
/// <param name="Kinds">What is wanted of it.</param>
internal sealed record EmbeddingWork(int[] Ids, EmbeddingKinds Kinds)
{
    private readonly long _arrival = Stopwatch.GetTimestamp();

    /// <summary>Whether it only asks for a sign of life; it is not measured.</summary>
    public bool IsProbe { get; init; }

    /// <summary>How long ago it came.</summary>
    public TimeSpan Age => Stopwatch.GetElapsedTime(_arrival);

    /// <summary>The way back to the caller.</summary>
    public TaskCompletionSource<TextEmbedding> Result { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>The texts that a caller asks for together.</summary>
/// <param name="works">At least one.</param>
/// <param name="cancellationToken">Cancelled when nobody waits any more.</param>
internal sealed class EmbeddingRequest(IReadOnlyList<EmbeddingWork> works, CancellationToken cancellationToken)
{
    private int _taken;

    /// <summary>All of its texts.</summary>
    public IReadOnlyList<EmbeddingWork> Works { get; } = works;

    /// <summary>Cancelled when nobody waits any more.</summary>
    public CancellationToken CancellationToken { get; } = cancellationToken;

    /// <summary>The next text, or null.</summary>
    public EmbeddingWork? Next => _taken < Works.Count ? Works[_taken] : null;

    /// <summary>Tokens that were not taken.</summary>
    public long Tokens { get; private set; } = works.Sum(work => (long)work.Ids.Length);

    /// <summary>Takes the next text.</summary>
    public EmbeddingWork Take()
    {
        var work = Works[_taken++];
        Tokens -= work.Ids.Length;
        return work;
    }

    /// <summary>Takes all that is left.</summary>
    public List<EmbeddingWork> TakeAll()
    {
        var left = Works.Skip(_taken).ToList();
        (_taken, Tokens) = (Works.Count, 0);
        return left;
    }
}

/// <summary>
/// Requests whose texts wait. Texts are taken of all requests in turn, so that a short request does not wait for a long one; those of one
/// request in their order.
/// </summary>
internal sealed class EmbeddingQueue
{
    // The share of a step by which it may exceed an equal part of all that waits.
    private const int SlackOf = 8;
    private readonly LinkedList<EmbeddingRequest> _requests = new(); // whose turn it is first

    /// <summary>Tokens that wait.</summary>
    public long Tokens { get; private set; }

    /// <summary>Adds a request, whose turn comes last.</summary>
    public void Add(EmbeddingRequest request)
    {
        _requests.AddLast(request);
        Tokens += request.Tokens;
    }

    /// <summary>Takes the texts of the next step out; at least one must wait.</summary>
    /// <param name="maxTokens">Most tokens of a step, unless a text alone has more.</param>
    /// <returns>Longest first: those of one length stand together, where they can be one batch of attention, and long ones keep a GPU's
    /// blocks busy longest.</returns>
    public List<EmbeddingWork> TakeBatch(int maxTokens)
    {
        // Steps of about the same size: a small one at the end would leave most of a GPU idle.
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

    /// <summary>Takes the requests out that nobody waits for any more.</summary>
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
