namespace LocalLlm.Scheduling;

/// <summary>
/// Waiting sequences in order of service: by priority if the policy says so, then by arrival. A preempted sequence arrived before all that
/// were never admitted, so it stands before them again. Add and remove are O(log n).
/// </summary>
internal sealed class WaitingQueue(SchedulingPolicy policy) : IComparer<Sequence>
{
    private SortedSet<Sequence>? _set;

    /// <summary>Number of sequences.</summary>
    public int Count => _set?.Count ?? 0;

    /// <summary>The sequence to serve next, or null.</summary>
    public Sequence? First => _set?.Min;

    /// <summary>The sequence to serve after another one in the queue, or null.</summary>
    public Sequence? After(Sequence sequence) => _set is { Max: { } last } set ? set.GetViewBetween(sequence, last).Skip(1).FirstOrDefault() : null;

    private SortedSet<Sequence> Set => _set ??= new SortedSet<Sequence>(this);

    public void Add(Sequence sequence) => Set.Add(sequence);

    public void Remove(Sequence sequence) => Set.Remove(sequence);

    public IEnumerable<Sequence> All() => Set;

    /// <summary>Below 0 if <paramref name="x"/> is served before <paramref name="y"/>.</summary>
    public int Compare(Sequence? x, Sequence? y)
    {
        if (x is null || y is null)
            return (x is null ? 0 : 1) - (y is null ? 0 : 1);
        var byPriority = policy == SchedulingPolicy.Priority ? x.Priority.CompareTo(y.Priority) : 0;
        return byPriority != 0 ? byPriority : x.ArrivalOrder.CompareTo(y.ArrivalOrder);
    }
}
