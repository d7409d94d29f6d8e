namespace LocalLlm.Server.Http;

/// <summary>
/// Divides the server's budget of events per second among its streams. An event costs the same for one token as for several. With many
/// streams, each event carries all tokens since the last, which leaves the CPU to the engine. First and last events are never delayed.
/// </summary>
internal sealed class StreamPacer(LocalLlmServerOptions options)
{
    // A longer pause would be visible to a reader.
    private static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(50);

    // The resolution of a timer.
    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(2);

    private const int EventsOfCore = 500;
    private readonly int _max = options.MaxEventsPerSecond ?? EventsOfCore * Environment.ProcessorCount;
    private int _streams;

    /// <summary>Registers further streams until the result is disposed.</summary>
    /// <param name="streams">Number of streams that send events independently.</param>
    public IDisposable Enter(int streams = 1)
    {
        Interlocked.Add(ref _streams, streams);
        return new Place(this, streams);
    }

    /// <summary>How long a stream collects tokens between two events.</summary>
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
