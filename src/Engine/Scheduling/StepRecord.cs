using LocalLlm.Execution;

namespace LocalLlm.Scheduling;

/// <summary>A scheduled step: the data to submit, and the sequence of each entry. Pooled by the scheduler.</summary>
internal sealed class StepRecord
{
    private static readonly ReadOnlyMemory<int> Unknown = new[] { ScheduledSequence.UnknownToken };

    private readonly List<Sequence> _members = [];

    /// <summary>The data to submit.</summary>
    public SchedulerOutput Output { get; } = new();

    /// <summary>Number of sequences.</summary>
    public int Count => _members.Count;

    /// <summary>The sequence of entry <paramref name="index"/> of <see cref="SchedulerOutput.Sequences"/>.</summary>
    public Sequence this[int index] => _members[index];

    /// <summary>
    /// Adds the next <paramref name="count"/> positions of a sequence whose block table already covers them: known tokens, or the token
    /// that a step in flight samples.
    /// </summary>
    public void Add(Sequence sequence, int count)
    {
        var first = sequence.NextPosition;
        var samples = first + count == sequence.NumTokens + sequence.NumPendingTokens;
        Output.TotalTokens += count;
        Output.Sequences.Add(new ScheduledSequence(
            sequence.Id,
            first,
            sequence.NumPromptTokens,
            first < sequence.NumTokens ? sequence.Slice(first, count) : Unknown,
            sequence.Blocks.Blocks,
            SamplesToken: samples,
            NeedsPromptLogits: sequence.OwesPromptLogits
                && first < sequence.NumPromptTokens - 1
                && first + count > sequence.NumPromptLogitsComputed,
            NumDrafts: 0,
            NextTokenId: first + count < sequence.NumTokens ? sequence.TokenIds[first + count] : ScheduledSequence.UnknownToken,
            TakesBest: samples && sequence.Sampling?.TakesBest(first + count - sequence.NumPromptTokens) is true,
            Group: sequence.Group!.Index));
        _members.Add(sequence);
    }

    /// <summary>Adds drafts after the last known token of entry <paramref name="index"/>; the block table already covers them.</summary>
    public void AddDrafts(int index, ReadOnlySpan<int> drafts)
    {
        var (sequence, entry) = (_members[index], Output.Sequences[index]);
        sequence.SetDrafts(drafts);
        Output.TotalTokens += drafts.Length;
        Output.Sequences[index] = entry with
        {
            TokenIds = sequence.Slice(entry.FirstPosition, entry.TokenIds.Length + drafts.Length),
            BlockTable = sequence.Blocks.Blocks,
            NumDrafts = drafts.Length,
        };
    }

    /// <summary>Removes a sequence's entry; returns its number of tokens, 0 if it has none.</summary>
    public int Remove(Sequence sequence)
    {
        var index = _members.IndexOf(sequence);
        if (index < 0)
            return 0;
        var count = Output.Sequences[index].TokenIds.Length;
        Output.TotalTokens -= count;
        Output.Sequences.RemoveAt(index);
        _members.RemoveAt(index);
        return count;
    }

    /// <summary>Marks every entry as in flight, and records how the step's tokens are sampled.</summary>
    /// <param name="stepId">The step's id.</param>
    public void BeginFlight(long stepId)
    {
        Output.StepId = stepId;
        for (var i = 0; i < Count; i++)
        {
            var (sequence, entry) = (_members[i], Output.Sequences[i]);
            sequence.NumInFlightTokens += entry.TokenIds.Length;
            sequence.NumInFlightSteps++;
            sequence.LastStepId = stepId;
            sequence.NumPendingTokens += entry.SamplesToken ? 1 : 0;
            // Only the host can follow a sequence's history along its drafts.
            Output.SamplesOnHost |= entry.NeedsPromptLogits || (entry.SamplesToken && sequence.Sampling?.Logprobs is not null)
                || (entry.NumDrafts > 0 && sequence.Sampling is { NeedsHistory: true });
            Output.NeedsHistory |= entry.SamplesToken && sequence.Sampling is { NeedsHistory: true };
            Announce(sequence);
        }
    }

    /// <summary>Removes all entries.</summary>
    public void Clear()
    {
        Output.Clear();
        _members.Clear();
    }

    private void Announce(Sequence sequence)
    {
        if (sequence.IsAnnounced)
            return;
        sequence.IsAnnounced = true;
        if (sequence.Sampling is { } sampling)
            Output.NewSequences.Add(new(sequence.Id, sequence.PromptTokens, sampling, sequence.Index, sequence.Seed));
    }
}
