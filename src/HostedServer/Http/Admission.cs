namespace LocalLlm.Server.Http;

/// <summary>
/// The bound of the server's work: a request is let in with the number of its sequences, and its permit travels with its answer. Refusing takes no step of the engine's.
/// </summary>
internal sealed class Admission : IDisposable
{
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _abort = new();
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

    /// <summary>Requests that are being answered.</summary>
    public int Requests
    {
        get
        {
            lock (_lock)
                return _requests;
        }
    }

    /// <summary>Lets a request in; dispose the permit when its answer is over.</summary>
    /// <param name="sequences">How many sequences it makes; one alone is let in whatever their number.</param>
    /// <param name="most">Most sequences of all requests together.</param>
    /// <exception cref="ApiException">503 while closed, 429 where there is no room.</exception>
    public IDisposable Enter(int sequences, int most)
    {
        lock (_lock)
        {
            if (_closed)
                throw new ApiException(ApiError.Unavailable("The server is shutting down and takes no more requests.", "shutting_down"));
            if (_sequences > 0 && _sequences + sequences > most)
                throw new ApiException(ApiError.Overloaded($"The queue is full: {_sequences} sequences run or wait, at most {most} may, and this request makes {sequences}. Try again later."));
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

    /// <summary>Completes when no request is being answered.</summary>
    public Task WaitForIdleAsync()
    {
        lock (_lock)
            return _requests == 0 ? Task.CompletedTask : (_idle ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
    }

    /// <inheritdoc/>
    public void Dispose() => _abort.Dispose();

    private void Leave(int sequences)
    {
        lock (_lock)
        {
            _sequences -= sequences;
            if (--_requests > 0)
                return;
            _idle?.SetResult();
            _idle = null;
        }
    }

    private sealed class Permit(Admission admission, int sequences) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0)
                admission.Leave(sequences);
        }
    }
}
