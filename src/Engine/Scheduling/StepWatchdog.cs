namespace LocalLlm.Scheduling;

/// <summary>
/// Notices a step that does not end, because a device hangs or a rank has vanished without a report; callers can also report a loss
/// (<see cref="GiveUp"/>). The thread that waits for the step cannot be freed then, so the watchdog ends the callers' wait in its place.
/// </summary>
internal sealed class StepWatchdog : IDisposable
{
    private const int Idle = 0;
    private const int Waiting = 1;
    private const int GivenUp = 2;

    private static readonly TimeSpan Resolution = TimeSpan.FromMilliseconds(1);

    private readonly StepDeadlines? _deadlines;
    private readonly Action<Exception> _die;
    private readonly ITimer? _timer;
    private readonly TaskCompletionSource _expired = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TimeProvider _time;
    private long _begin;
    private long _timeout; // ticks
    private int _tokens;
    private int _state;

    /// <param name="deadlines">How long a step may take; null: no limit.</param>
    /// <param name="time">The clock.</param>
    /// <param name="die">Ends everything that waits for the loop. Called once, on another thread, before <see cref="Expired"/> completes.
    /// Must not throw.</param>
    public StepWatchdog(StepDeadlines? deadlines, TimeProvider time, Action<Exception> die)
    {
        _deadlines = deadlines;
        _die = die;
        _time = time;
        _timer = deadlines is null ? null : time.CreateTimer(_ => Expire(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Completes when a step has taken too long, or the loop was given up for another reason.</summary>
    public Task Expired => _expired.Task;

    /// <summary>Starts to watch a step.</summary>
    /// <param name="tokens">Number of its tokens, as far as known.</param>
    /// <returns>False: the loop was given up.</returns>
    public bool Begin(int tokens)
    {
        Volatile.Write(ref _begin, _time.GetTimestamp());
        _tokens = 0;
        Limit(tokens);
        if (Interlocked.CompareExchange(ref _state, Waiting, Idle) != Idle)
            return false;
        _timer?.Change(TimeSpan.FromTicks(_timeout), Timeout.InfiniteTimeSpan);
        return true;
    }

    /// <summary>
    /// Adds a step to those being watched. The largest one sets the limit, counted from <see cref="Begin"/>.
    /// </summary>
    public void Expect(int tokens)
    {
        if (tokens <= _tokens)
            return;
        Limit(tokens);
        var left = TimeSpan.FromTicks(_timeout) - _time.GetElapsedTime(_begin);
        _timer?.Change(left > Resolution ? left : Resolution, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Stops watching, as the step has ended.</summary>
    /// <returns>False: the step took too long, and the loop was given up.</returns>
    public bool End()
    {
        _timer?.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (_tokens > 0)
            _deadlines?.Measure(_tokens, _time.GetElapsedTime(_begin));
        return Interlocked.CompareExchange(ref _state, Idle, Waiting) == Waiting;
    }

    /// <summary>Whether the loop was given up.</summary>
    public bool HasGivenUp => Volatile.Read(ref _state) == GivenUp;

    /// <summary>Gives the loop up whatever it does, because it depends on something that is lost.</summary>
    /// <param name="reason">What has failed.</param>
    public void GiveUp(Exception reason)
    {
        if (Interlocked.Exchange(ref _state, GivenUp) != GivenUp)
            End(reason);
    }

    /// <inheritdoc/>
    public void Dispose() => _timer?.Dispose();

    private void Limit(int tokens)
    {
        _tokens = tokens;
        Volatile.Write(ref _timeout, _deadlines?.Of(tokens).Ticks ?? 0);
    }

    private void Expire()
    {
        // The timer of an earlier step may fire late, and timers may fire a little early.
        var timeout = TimeSpan.FromTicks(Volatile.Read(ref _timeout));
        var left = timeout - _time.GetElapsedTime(Volatile.Read(ref _begin));
        if (left > TimeSpan.Zero)
        {
            _timer?.Change(left + Resolution, Timeout.InfiniteTimeSpan);
            return;
        }

        if (Interlocked.CompareExchange(ref _state, GivenUp, Waiting) != Waiting)
            return;
        End(new TimeoutException(
            $"A step has not ended after {timeout}. The device hangs, or the step is larger than it can compute in that time: lower "
            + "max_num_batched_tokens, or raise step_timeout."));
    }

    private void End(Exception reason)
    {
        try
        {
            _die(reason);
        }
        finally
        {
            _expired.TrySetResult();
        }
    }
}
