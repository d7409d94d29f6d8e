namespace LocalLlm.Parallel;

/// <summary>
/// Where threads of one process wait for one another: a thread spins for as long as a peer on another core takes that is about as far, then
/// gives up its core, then sleeps. A counter for each rank, each in cache lines of its own; only its rank writes it.
/// </summary>
/// <param name="size">Number of ranks.</param>
internal sealed class ThreadBarrier(int size)
{
    // Counters that share a line, or a pair of lines that are fetched together, would be passed back and forth.
    private const int Stride = 128 / sizeof(long);

    private const int Spins = 1_000; // some 80 µs
    private const int Yields = 4_000; // some milliseconds on busy cores
    private const int PausesPerSpin = 2;

    private readonly long[] _arrived = new long[(size + 1) * Stride];
    private readonly long[] _left = new long[(size + 1) * Stride]; // not 0: the rank has given up
    private RankFailedException? _failure;

    /// <summary>Number of ranks.</summary>
    public int Size { get; } = size;

    /// <summary>Waits until every rank has called this as often as this rank; what a rank wrote before is then visible to all.</summary>
    /// <returns>How often that is.</returns>
    /// <exception cref="RankFailedException">The barrier was aborted.</exception>
    public long Wait(int rank)
    {
        var round = _arrived[(rank + 1) * Stride] + 1;
        Volatile.Write(ref _arrived[(rank + 1) * Stride], round);
        // Whoever gives up looks at the counter after the failure, so that one of both sides sees the other (Dekker).
        Interlocked.MemoryBarrier();
        for (var peer = 0; peer < Size; peer++)
        {
            if (peer != rank)
                Await(peer, round);
        }

        ThrowIfAborted();
        return round;
    }

    /// <summary>How often a rank has come.</summary>
    public long RoundOf(int rank) => Volatile.Read(ref _arrived[(rank + 1) * Stride]);

    /// <summary>
    /// A rank gives up between two meetings. Those that came to the first one may still use what it has shown them, which must stay until
    /// they have come to the second one or given up too; they wait for nobody meanwhile. One that comes to the first one later finds the
    /// failure there.
    /// </summary>
    /// <param name="rank">The rank.</param>
    /// <param name="round">The first meeting.</param>
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

    /// <summary>Ends all waiting, now and later. Any thread; the first reason stays.</summary>
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
