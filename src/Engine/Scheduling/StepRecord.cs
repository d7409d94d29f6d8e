using LocalLlm.Execution;
namespace LocalLlm.Scheduling;

/// <summary>A step on its way: the data that went out and, kept at home, whose it is. Pooled by the scheduler.</summary>
internal sealed class StepRecord
{
    private static readonly ReadOnlyMemory<int> Unknown = new[] { ScheduledSequence.UnknownToken };

    private readonly List<(Sequence Sequence, int Epoch)> _members = [];

    /// <summary>What went out.</summary>
    public SchedulerOutput Output { get; } = new();

    /// <summary>Number of sequences.</summary>
    public int Count => _members.Count;

    /// <summary>The sequence of entry <paramref name="index"/> of <see cref="SchedulerOutput.Sequences"/>.</summary>
    public Sequence this[int index] => _members[index].Sequence;

    /// <summary>Whether the entry's work was taken back by a later <see cref="Scheduler.CancelStep"/>.</summary>
    public bool IsStale(int index) => _members[index].Epoch != _members[index].Sequence.ScheduleEpoch;

    /// <summary>
    /// Adds the next <paramref name="count"/> positions of a sequence whose table already covers them: known tokens, or the one that a step
    /// in flight samples.
    /// </summary>
    public void Add(Sequence sequence, int count)
    {
        var first = sequence.NextPosition;
        Output.Add(new ScheduledSequence(
            sequence.Id,
            first,
            sequence.NumPromptTokens,
            first < sequence.NumTokens ? sequence.Slice(first, count) : Unknown,
            sequence.Blocks.Blocks,
            SamplesToken: first + count == sequence.NumTokens + sequence.NumPendingTokens,
            NeedsPromptLogits: sequence.OwesPromptLogits
                && first < sequence.NumPromptTokens - 1
                && first + count > sequence.NumPromptLogitsComputed));
        _members.Add((sequence, sequence.ScheduleEpoch));
    }

    /// <summary>Takes a sequence's entry out again; returns its number of tokens, 0 if it has none.</summary>
    public int Remove(Sequence sequence)
    {
        for (var i = 0; i < _members.Count; i++)
        {
            if (_members[i].Sequence != sequence)
                continue;
            var count = Output.Sequences[i].TokenIds.Length;
            Output.RemoveAt(i);
            _members.RemoveAt(i);
            return count;
        }

        return 0;
    }

    public void Clear()
    {
        Output.Clear();
        _members.Clear();
    }
}
