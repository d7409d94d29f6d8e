namespace LocalLlm.Parallel;

/// <summary>
/// Threads of one process agree on the size of the KV cache and of recorded steps. If there are other hosts, one of the threads agrees
/// with them.
/// </summary>
/// <param name="ranks">Number of threads.</param>
/// <param name="beyond">The agreement with the other hosts; null: none.</param>
internal sealed class ThreadAgreement(int ranks, IMemoryAgreement? beyond = null) : IMemoryAgreement
{
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource<MemoryPlan> _agreed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private MemoryPlan? _smallest;
    private readonly TaskCompletionSource _met = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _heard;
    private int _here;

    /// <inheritdoc/>
    public void Meet()
    {
        if (Interlocked.Increment(ref _here) == ranks)
            _met.TrySetResult();
        _met.Task.GetAwaiter().GetResult();
    }

    /// <inheritdoc/>
    public MemoryPlan Agree(MemoryPlan own)
    {
        bool isLast;
        lock (_lock)
        {
            _smallest = _smallest?.WithAtMost(own) ?? own;
            isLast = ++_heard == ranks;
        }

        if (isLast)
        {
            try
            {
                _agreed.TrySetResult(beyond?.Agree(_smallest) ?? _smallest);
            }
            catch (Exception failure)
            {
                Abort(failure);
            }
        }

        return own.WithAtMost(_agreed.Task.GetAwaiter().GetResult());
    }

    /// <summary>Ends every wait because a rank has failed.</summary>
    public void Abort(Exception reason)
    {
        var failure = reason as RankFailedException ?? new RankFailedException("Another rank has failed: " + reason.Message, reason);
        _agreed.TrySetException(failure);
        _met.TrySetException(failure);
    }
}
