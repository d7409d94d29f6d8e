namespace LocalLlm.Parallel;

/// <summary>
/// Where the ranks of one process wait for one another on the host before and after each launches work that waits for the others on its
/// device.
/// Thread-safe.
/// </summary>
/// <remarks>
/// Many calls of a driver wait until a card is idle (memory that is freed, a kernel that is loaded), some under its locks. With work of
/// another
/// rank on the card that waits for ours, which is not launched yet, such a call would never end. Between two passes of the gate ranks
/// only launch, and after the second one all that waits for each other is in the cards' queues.
/// </remarks>
/// <param name="parties">Ranks that pass together.</param>
internal sealed class LaunchGate(int parties)
{
    // About 40 µs: ranks take the same steps and are seldom further apart.
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

    /// <summary>Nobody passes any more; those who wait throw.</summary>
    public void Close(RankFailedException failure)
    {
        Interlocked.CompareExchange(ref _failure, failure, null);
        Wake();
    }

    /// <summary>Throws where the gate was closed.</summary>
    public void ThrowIfClosed()
    {
        if (Volatile.Read(ref _failure) is { } failure)
            throw new RankFailedException(failure.Message, failure.InnerException);
    }

    private void Sleep(int generation)
    {
        lock (_wake)
        {
            // A full fence: either this rank sees the new generation, or who opens the gate sees the sleeper.
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
