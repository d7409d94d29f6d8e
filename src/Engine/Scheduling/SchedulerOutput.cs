namespace LocalLlm.Scheduling;

/// <summary>
/// One step, as every rank gets it: plain data. The scheduler owns it and reuses it once the step has been reported back
/// by <see cref="Scheduler.Update"/>, <see cref="Scheduler.FailStep"/> or <see cref="Scheduler.CancelStep"/>.
/// </summary>
internal sealed class SchedulerOutput
{
    private readonly List<ScheduledSequence> _sequences = [];
    private readonly List<long> _finishedIds = [];
    private readonly List<long> _preemptedIds = [];

    /// <summary>Number of the step, from 1; 0 for an empty output.</summary>
    public long StepId { get; internal set; }

    /// <summary>What to compute. Empty: there is nothing to do now, and nothing to report back.</summary>
    public IReadOnlyList<ScheduledSequence> Sequences => _sequences;

    /// <summary>Tokens of all sequences together.</summary>
    public int TotalTokens { get; private set; }

    /// <summary>Sequences that ended since the last step that was not empty: drop what is kept for them, before this step.</summary>
    public IReadOnlyList<long> FinishedIds => _finishedIds;

    /// <summary>Sequences that lost their blocks since the last step that was not empty.</summary>
    public IReadOnlyList<long> PreemptedIds => _preemptedIds;

    internal void Add(in ScheduledSequence sequence)
    {
        _sequences.Add(sequence);
        TotalTokens += sequence.TokenIds.Length;
    }

    internal void RemoveAt(int index)
    {
        TotalTokens -= _sequences[index].TokenIds.Length;
        _sequences.RemoveAt(index);
    }

    internal void SetEvents(List<long> finishedIds, List<long> preemptedIds)
    {
        _finishedIds.AddRange(finishedIds);
        _preemptedIds.AddRange(preemptedIds);
    }

    internal void Clear()
    {
        StepId = 0;
        TotalTokens = 0;
        _sequences.Clear();
        _finishedIds.Clear();
        _preemptedIds.Clear();
    }
}
