namespace LocalLlm.Server.Http;

/// <summary>
/// Limits the server's work. A request is admitted with its number of sequences, and holds a permit until its response is over. Refusing a
/// request costs the engine no step.
/// </summary>
internal sealed class Admission : IDisposable
{
    /// <summary>Number of sequences that one request may always have.</summary>
    public const int MaxOfOne = 128;

    // Chosen so that the longest list of texts that a route accepts counts as MaxOfOne sequences.
    private const int TextsOfOneSequence = 16;

    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _abort = new();
    private readonly CancellationTokenSource _disconnect = new();
    private TaskCompletionSource? _idle;
    private int _requests;
    private int _sequences;
    private bool _closed;

    /// <summary>Whether no more requests are admitted.</summary>
    public bool IsClosed
    {
        get
        {
            lock (_lock)
                return _closed;
        }
    }

    /// <summary>Cancelled when running requests must end.</summary>
    public CancellationToken Aborted => _abort.Token;

    /// <summary>Cancelled when the remaining connections must end.</summary>
    public CancellationToken Disconnected => _disconnect.Token;

    /// <summary>Number of requests that are being served.</summary>
    public int Requests
    {
        get
        {
            lock (_lock)
                return _requests;
        }
    }

    /// <summary>
    /// The number of sequences that a request to embed texts counts as. A list of texts holds memory; a single text is done in a moment.
    /// </summary>
    public static int SequencesOf(int texts) => Math.Clamp((texts + TextsOfOneSequence - 1) / TextsOfOneSequence, 1, MaxOfOne);

    /// <summary>Admits a request; dispose the permit when its response is over.</summary>
    /// <param name="sequences">Number of sequences of the request.</param>
    /// <param name="max">Maximum number of sequences of all requests together. A request that is alone may have <see cref="MaxOfOne"/>,
    /// even if that is more.</param>
    /// <param name="field">The field of the request that sets the number.</param>
    /// <exception cref="ApiException">400 if the request could never be admitted, 503 while closed, 429 if there is no room.</exception>
    public Permit Enter(int sequences, int max, string field = "n")
    {
        if (sequences > Math.Max(max, MaxOfOne))
            throw new ApiException(ApiError.Invalid($"{field}: the request has {sequences} sequences; the server allows at most {Math.Max(max, MaxOfOne)}. Split it into several requests.", field));
        lock (_lock)
        {
            if (_closed)
                throw new ApiException(ApiError.Unavailable("The server is shutting down and accepts no more requests.", "shutting_down"));
            if (_sequences > 0 && _sequences + sequences > max)
                throw new ApiException(ApiError.Overloaded($"The queue is full: {_sequences} of at most {max} sequences run or wait, and this request adds {sequences}. Try again later."));
            _requests++;
            _sequences += sequences;
            return new Permit(this, sequences);
        }
    }

    /// <summary>Admits no further requests.</summary>
    public void Close()
    {
        lock (_lock)
            _closed = true;
    }

    /// <summary>Ends running requests.</summary>
    public void Abort()
    {
        Close();
        _abort.Cancel();
    }

    /// <summary>Ends the remaining connections.</summary>
    public void Disconnect() => _disconnect.Cancel();

    /// <summary>Completes when no request is being served.</summary>
    public Task WaitForIdleAsync()
    {
        lock (_lock)
            return _requests == 0 ? Task.CompletedTask : (_idle ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _abort.Dispose();
        _disconnect.Dispose();
    }

    private void Release(int sequences)
    {
        lock (_lock)
            _sequences -= sequences;
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (--_requests > 0)
                return;
            _idle?.SetResult();
            _idle = null;
        }
    }

    /// <summary>
    /// The permit of an admitted request. It holds the request's place in the queue until the response is generated, and keeps the server
    /// up until the response is sent.
    /// </summary>
    public sealed class Permit : IDisposable
    {
        private readonly Admission _admission;
        private readonly int _sequences;
        private int _released;
        private int _left;

        internal Permit(Admission admission, int sequences) => (_admission, _sequences) = (admission, sequences);

        /// <summary>Frees the place once the response is generated, however long the client takes to read it.</summary>
        public void Release()
        {
            if (Interlocked.Exchange(ref _released, 1) == 0)
                _admission.Release(_sequences);
        }

        /// <summary>Call it once the response is sent.</summary>
        public void Dispose()
        {
            Release();
            if (Interlocked.Exchange(ref _left, 1) == 0)
                _admission.Leave();
        }
    }
}
