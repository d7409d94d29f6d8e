namespace LocalLlm.Parallel;

/// <summary>
/// Coordinates two threads that queue device work for messages from one to the other, through a ring of slots. A thread waits only until
/// the other has queued the work that its own work depends on; the devices themselves wait for its completion. Thread-safe.
/// </summary>
/// <param name="slots">Maximum number of messages that are sent and not received.</param>
internal sealed class MessageTurns(int slots)
{
    private readonly object _lock = new();
    private long _sent;
    private long _received;
    private RankFailedException? _failure;

    /// <summary>Number of slots.</summary>
    public int Slots => slots;

    /// <summary>Waits until the next message has a slot.</summary>
    /// <returns>The slot, which belongs to the sender until <see cref="EndSend"/>.</returns>
    /// <exception cref="RankFailedException">The link was aborted.</exception>
    public int BeginSend() => WaitUntil(static turns => turns._sent - turns._received < turns.Slots, ref _sent);

    /// <summary>Reports that the message is queued.</summary>
    public void EndSend() => Count(ref _sent);

    /// <summary>Waits until the next message is queued.</summary>
    /// <returns>The message's slot, which belongs to the receiver until <see cref="EndReceive"/>.</returns>
    /// <exception cref="RankFailedException">The link was aborted.</exception>
    public int BeginReceive() => WaitUntil(static turns => turns._sent > turns._received, ref _received);

    /// <summary>Reports that the work that takes the message out of its slot is queued.</summary>
    public void EndReceive() => Count(ref _received);

    /// <summary>Aborts every current and later wait.</summary>
    public void Abort(Exception reason)
    {
        lock (_lock)
        {
            _failure ??= RankFailedException.From(reason);
            Monitor.PulseAll(_lock);
        }
    }

    private int WaitUntil(Func<MessageTurns, bool> isReady, ref long count)
    {
        lock (_lock)
        {
            while (_failure is null && !isReady(this))
                Monitor.Wait(_lock);
            return _failure is { } failure ? throw new RankFailedException(failure.Message, failure.InnerException) : (int)(count % slots);
        }
    }

    private void Count(ref long count)
    {
        lock (_lock)
        {
            count++;
            Monitor.PulseAll(_lock);
        }
    }
}
