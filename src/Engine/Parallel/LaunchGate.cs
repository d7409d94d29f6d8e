namespace LocalLlm.Parallel;

/// <summary>
/// A gate for ranks of one process whose devices wait for one another. The ranks pass it together on the host, before and after each of
/// them launches such work on its device. Thread-safe.
/// </summary>
/// <remarks>
/// Many driver calls wait until a card is idle (to free memory, to load a kernel), some while they hold the driver's locks. If the card
/// runs another rank's work that waits for this rank's work, and that work is not launched yet, such a call never returns. Between two
/// passes of the gate, ranks therefore do nothing but launch; after the second pass all work that waits for each other is in the cards'
/// queues.
/// </remarks>
/// <param name="parties">Number of ranks that pass together.</param>
internal sealed class LaunchGate(int parties)
{
    // About 40 µs: ranks run the same steps and are seldom further apart.
    private const int Spins = 120;
    private const int SpinLength = 10;

    private readonly object _wake = new();
    private int _arrived;
    private int _generation;
    private int _sleepers;
    private RankFailedException? _failure;

    /// <summary>Waits until all ranks are here.</summary>
    /// <exception cref="RankFailedException">The gate was closed.</exception>
    public void Pass()
    {
        ThrowIfClosed();
        var generation = Volatile.Read(ref _generation);
        if (Interlocked.Increment(ref _arrived) == parties)
        {
            Volatile.Write(ref _arrived, 0);
            Interlocked.Increment(ref _generation);
            if (Volatile.Read(ref _sleepers) != 0)
                Wake();
            return;
        }

        for (var spin = 0; spin < Spins; spin++)
        {
            if (Volatile.Read(ref _generation) != generation)
                return;
            Thread.SpinWait(SpinLength);
        }

        Sleep(generation);
    }

    /// <summary>Closes the gate: waiting ranks throw, and so does every later pass.</summary>
    public void Close(RankFailedException failure)
    {
        Interlocked.CompareExchange(ref _failure, failure, null);
        Wake();
    }

    /// <summary>Throws if the gate is closed.</summary>
    public void ThrowIfClosed()
    {
        if (Volatile.Read(ref _failure) is { } failure)
            throw new RankFailedException(failure.Message, failure.InnerException);
    }

    private void Sleep(int generation)
    {
        lock (_wake)
        {
            // A full fence: either this rank sees the new generation, or the rank that opens the gate sees the sleeper.
            Interlocked.Increment(ref _sleepers);
            while (Volatile.Read(ref _generation) == generation && Volatile.Read(ref _failure) is null)
                Monitor.Wait(_wake);
            Interlocked.Decrement(ref _sleepers);
        }

        if (Volatile.Read(ref _generation) == generation)
            ThrowIfClosed();
    }

    private void Wake()
    {
        lock (_wake)
            Monitor.PulseAll(_wake);
    }
}
