using System.Diagnostics;

namespace LocalLlm.Parallel;

/// <summary>
/// How a rank waits for an event that it must poll for: it first spins, then yields the core between polls, then sleeps.
/// </summary>
internal struct PollingWait
{
    private const int Spins = 64;
    private const int SpinIterations = 20;
    private static readonly TimeSpan Awake = TimeSpan.FromMilliseconds(50);

    private int _polls;
    private long _begin;

    /// <summary>Waits a moment before the next poll.</summary>
    public void Once()
    {
        if (_polls == 0)
            _begin = Stopwatch.GetTimestamp();
        if (_polls++ < Spins)
            Thread.SpinWait(SpinIterations);
        else if (Stopwatch.GetElapsedTime(_begin) < Awake)
            Thread.Yield();
        else
            Thread.Sleep(1);
    }
}
