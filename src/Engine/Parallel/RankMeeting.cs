namespace LocalLlm.Parallel;

/// <summary>Lets ranks of one process, each on its thread, show objects to one another (<see cref="ICollectives.Share"/>).</summary>
/// <param name="barrier">The barrier where the ranks wait; it may serve other purposes between two calls.</param>
internal sealed class RankMeeting(ThreadBarrier barrier)
{
    private readonly object?[] _shown = new object?[barrier.Size];

    /// <summary>Like <see cref="ICollectives.Share"/>, for a given rank.</summary>
    public TResult Share<T, TResult>(int rank, T own, Func<IReadOnlyList<T>, TResult> work)
        where T : class
    {
        _shown[rank] = own;
        var round = barrier.RoundOf(rank) + 1;
        try
        {
            barrier.Wait(rank);
            var result = work(Array.ConvertAll(_shown, one => (T)one!));
            barrier.Wait(rank);
            // Only this rank writes its entry; other ranks read it only between the two waits.
            _shown[rank] = null;
            return result;
        }
        catch (Exception failure)
        {
            barrier.Abort(failure);
            barrier.Leave(rank, round);
            throw;
        }
    }

    /// <summary>Ends every wait, now and later. May be called on any thread.</summary>
    public void Abort(Exception reason) => barrier.Abort(reason);
}
