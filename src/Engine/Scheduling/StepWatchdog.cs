namespace LocalLlm.Scheduling;

/// <summary>
/// Notices a step that does not end: a device that hangs, a rank that is gone without a word. The thread that waits for the step cannot be
/// freed then; what it would have told the callers is told from here.
/// </summary>
internal sealed class StepWatchdog : IDisposable
{
    private readonly TimeSpan _timeout;
    private readonly Action<Exception> _die;
    private readonly ITimer? _timer;
    private readonly TaskCompletionSource _expired = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TimeProvider _time;
    private long _begin;
    private int _state;

    /// <param name="timeout">The longest that a step may take; null: any time.</param>
    /// <param name="time">The clock.</param>
    /// <param name="die">Ends everything that waits for the loop; called once, on another thread, before <see cref="Expired"/> completes.</param>
    public StepWatchdog(TimeSpan? timeout, TimeProvider time, Action<Exception> die)
    {
        _timeout = timeout ?? Timeout.InfiniteTimeSpan;
        _die = die;
        _time = time;
        _timer = timeout is null ? null : time.CreateTimer(_ => Expire(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Completes when a step has taken too long.</summary>
    public Task Expired => _expired.Task;

    /// <summary>A step is waited for from now on.</summary>
    public void Begin()
    {
        if (_timer is null)
            return;
        Volatile.Write(ref _begin, _time.GetTimestamp());
        Volatile.Write(ref _state, Waiting);
        _timer.Change(_timeout, Timeout.InfiniteTimeSpan);
    }

    /// <summary>The step has ended.</summary>
    /// <returns>False: too late, the loop was given up.</returns>
    public bool End()
    {
        if (_timer is null)
            return true;
        _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        return Interlocked.CompareExchange(ref _state, Idle, Waiting) == Waiting;
    }

    /// <inheritdoc/>
    public void Dispose() => _timer?.Dispose();

    private const int Idle = 0;
    private const int Waiting = 1;
    private const int GivenUp = 2;

    private void Expire()
    {
        // The timer of an earlier step may come late.
        if (_time.GetElapsedTime(Volatile.Read(ref _begin)) < _timeout || Interlocked.CompareExchange(ref _state, GivenUp, Waiting) != Waiting)
            return;
        _die(new TimeoutException($"A step has not ended after {_timeout}. The device hangs, or the step is larger than it can compute in that time: lower max_num_batched_tokens, or raise step_timeout."));
        _expired.TrySetResult();
    }
}
