namespace LocalLlm.Server.Http;

/// <summary>
/// The bound of the server's work: a request is let in with the number of its sequences, and its permit travels with its answer. Refusing
/// takes no step of the engine's.
/// </summary>
internal sealed class Admission : IDisposable
{
    /// <summary>What one request may have in any case.</summary>
    public const int MaxOfOne = 128;

    // The longest list of texts that a route takes is as much as one request may have.
    private const int TextsOfOneSequence = 16;

    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _abort = new();
    private readonly CancellationTokenSource _disconnect = new();
    private TaskCompletionSource? _idle;
    private int _requests;
    private int _sequences;
    private bool _closed;

    /// <summary>Whether no more requests are let in.</summary>
    public bool IsClosed
    {
        get
        {
            lock (_lock)
                return _closed;
        }
    }

    /// <summary>Cancelled when requests that run must end.</summary>
    public CancellationToken Aborted => _abort.Token;

    /// <summary>Cancelled when connections that are still there must end.</summary>
    public CancellationToken Disconnected => _disconnect.Token;

    /// <summary>Requests that are being answered.</summary>
    public int Requests
    {
        get
        {
            lock (_lock)
                return _requests;
        }
    }

    /// <summary>
    /// How many sequences a request to embed texts counts for: a list of them holds memory, and a single one is over in a moment.
    /// </summary>
    public static int SequencesOf(int texts) => Math.Clamp((texts + TextsOfOneSequence - 1) / TextsOfOneSequence, 1, MaxOfOne);

    /// <summary>Lets a request in; dispose the permit when its answer is over.</summary>
    /// <param name="sequences">How many sequences it makes.</param>
    /// <param name="max">The maximum of sequences of all requests together; one alone may have <see cref="MaxOfOne"/> even where that is
    /// more.</param>
    /// <param name="field">The field of the request that says how many.</param>
    /// <exception cref="ApiException">400 where it could never be let in, 503 while closed, 429 where there is no room.</exception>
    public Permit Enter(int sequences, int max, string field = "n")
    {
        if (sequences > Math.Max(max, MaxOfOne))
            throw new ApiException(ApiError.Invalid($"{field}: the request makes {sequences} sequences; this server holds {Math.Max(max, MaxOfOne)} at once. Send several requests.", field));
        lock (_lock)
        {
            if (_closed)
                throw new ApiException(ApiError.Unavailable("The server is shutting down and takes no more requests.", "shutting_down"));
            if (_sequences > 0 && _sequences + sequences > max)
                throw new ApiException(ApiError.Overloaded($"The queue is full: {_sequences} sequences run or wait, at most {max} may, and this request makes {sequences}. Try again later."));
            _requests++;
            _sequences += sequences;
            return new Permit(this, sequences);
        }
    }

    /// <summary>Lets nobody in any more.</summary>
    public void Close()
    {
        lock (_lock)
            _closed = true;
    }

    /// <summary>Ends the requests that run.</summary>
    public void Abort()
    {
        Close();
        _abort.Cancel();
    }

    /// <summary>Ends the connections that are still there.</summary>
    public void Disconnect() => _disconnect.Cancel();

    /// <summary>Completes when no request is being answered.</summary>
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
    /// What a request is let in with: it holds its place in the queue until its answer is made, and keeps the server up until it is sent.
    /// </summary>
    public sealed class Permit : IDisposable
    {
        private readonly Admission _admission;
        private readonly int _sequences;
        private int _released;
        private int _left;

        internal Permit(Admission admission, int sequences) => (_admission, _sequences) = (admission, sequences);

        /// <summary>The answer is made: others may have the place, however long the client takes to read.</summary>
        public void Release()
        {
            if (Interlocked.Exchange(ref _released, 1) == 0)
                _admission.Release(_sequences);
        }

        /// <summary>The answer is sent.</summary>
        public void Dispose()
        {
            Release();
            if (Interlocked.Exchange(ref _left, 1) == 0)
                _admission.Leave();
        }
    }
}
