namespace LocalLlm.Parallel;

/// <summary>Where ranks of one process, each on its thread, show one another what they have (<see cref="ICollectives.Share"/>).</summary>
/// <param name="barrier">Where they wait; others may wait there too, between two calls.</param>
internal sealed class RankMeeting(ThreadBarrier barrier)
{
    private readonly object?[] _shown = new object?[barrier.Size];

    /// <summary>As <see cref="ICollectives.Share"/>, of a rank.</summary>
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
            // Written by its rank alone, and read by others between the two meetings only.
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

    /// <summary>Ends all waiting, now and later. Any thread.</summary>
    public void Abort(Exception reason) => barrier.Abort(reason);
}
