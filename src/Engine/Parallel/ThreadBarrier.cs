namespace LocalLlm.Parallel;

/// <summary>
/// A barrier for threads of one process. A waiting thread first spins, about as long as a peer on another core is usually behind, then
/// yields its core, then sleeps. Each rank has a counter in cache lines of its own, which only that rank writes.
/// </summary>
/// <param name="size">Number of ranks.</param>
internal sealed class ThreadBarrier(int size)
{
    // Counters in the same line, or in a pair of lines that are fetched together, would move back and forth between cores.
    private const int Stride = 128 / sizeof(long);

    private const int Spins = 1_000; // some 80 µs
    private const int Yields = 4_000; // some milliseconds on busy cores
    private const int PausesPerSpin = 2;

    private readonly long[] _arrived = new long[(size + 1) * Stride];
    private readonly long[] _left = new long[(size + 1) * Stride]; // other than 0: the rank has given up
    private RankFailedException? _failure;

    /// <summary>Number of ranks.</summary>
    public int Size { get; } = size;

    /// <summary>Waits until every rank has called this as often as this rank. What ranks wrote before is then visible to all.</summary>
    /// <returns>The number of calls so far.</returns>
    /// <exception cref="RankFailedException">The barrier was aborted.</exception>
    public long Wait(int rank)
    {
        var round = _arrived[(rank + 1) * Stride] + 1;
        Volatile.Write(ref _arrived[(rank + 1) * Stride], round);
        // A rank that gives up sets the failure and then reads this counter. With the fence, at least one side sees the other (Dekker).
        Interlocked.MemoryBarrier();
        for (var peer = 0; peer < Size; peer++)
        {
            if (peer != rank)
                Await(peer, round);
        }

        ThrowIfAborted();
        return round;
    }

    /// <summary>How often a rank has arrived.</summary>
    public long RoundOf(int rank) => Volatile.Read(ref _arrived[(rank + 1) * Stride]);

    /// <summary>
    /// Called by a rank that gives up between two meetings. Ranks that came to the first meeting may still use what this rank has shown
    /// them, so this call waits until each of them has come to the second meeting or given up too; meanwhile they wait for no other rank.
    /// A rank that comes to the first meeting later finds the failure there.
    /// </summary>
    /// <param name="rank">The rank.</param>
    /// <param name="round">The round of the first meeting.</param>
    public void Leave(int rank, long round)
    {
        Volatile.Write(ref _left[(rank + 1) * Stride], 1);
        Interlocked.MemoryBarrier();
        for (var peer = 0; peer < Size; peer++)
        {
            for (var tries = 0; peer != rank && RoundOf(peer) == round && Volatile.Read(ref _left[(peer + 1) * Stride]) == 0; tries++)
                Pause(tries);
        }
    }

    /// <summary>Ends every wait, now and later. May be called on any thread; the first reason counts.</summary>
    public void Abort(Exception reason) => Interlocked.CompareExchange(
        ref _failure, reason as RankFailedException ?? new("Another rank has failed: " + reason.Message, reason), null);

    private void Await(int peer, long round)
    {
        ref var counter = ref _arrived[(peer + 1) * Stride];
        for (var tries = 0; Volatile.Read(ref counter) < round; tries++)
        {
            ThrowIfAborted();
            Pause(tries);
        }
    }

    private static void Pause(int tries)
    {
        if (tries < Spins && Environment.ProcessorCount > 1)
            Thread.SpinWait(PausesPerSpin);
        else if (tries < Spins + Yields)
            Thread.Yield();
        else
            Thread.Sleep(1);
    }

    private void ThrowIfAborted()
    {
        if (Volatile.Read(ref _failure) is { } failure)
            throw new RankFailedException(failure.Message, failure.InnerException);
    }
}
