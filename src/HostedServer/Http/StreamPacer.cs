namespace LocalLlm.Server.Http;

/// <summary>
/// Spreads the events that a server sends in a second over its streams. An event costs the same for one token as for several: with many
/// streams each carries what was made since the last, so that the processor is left to the engine. First and last events are not held back.
/// </summary>
internal sealed class StreamPacer(LocalLlmServerOptions options)
{
    // More would be seen by who reads along.
    private static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(50);

    // A timer's own resolution.
    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(2);

    private const int EventsOfCore = 500;
    private readonly int _max = options.MaxEventsPerSecond ?? EventsOfCore * Environment.ProcessorCount;
    private int _streams;

    /// <summary>Further streams, until it is disposed.</summary>
    /// <param name="streams">As many as send events by themselves.</param>
    public IDisposable Enter(int streams = 1)
    {
        Interlocked.Add(ref _streams, streams);
        return new Place(this, streams);
    }

    /// <summary>How long a stream gathers tokens between two events.</summary>
    public TimeSpan Pause()
    {
        if (_max == 0)
            return TimeSpan.Zero;
        var pause = TimeSpan.FromSeconds((double)Volatile.Read(ref _streams) / _max);
        return pause < Shortest ? TimeSpan.Zero : pause < Longest ? pause : Longest;
    }

    private sealed class Place(StreamPacer pacer, int streams) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0)
                Interlocked.Add(ref pacer._streams, -streams);
        }
    }
}
