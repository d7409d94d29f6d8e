using LocalLlm.Parallel;

namespace LocalLlm.Execution;

/// <summary>Extracts from each step the part that a data-parallel group computes, and the number of tokens of every group.</summary>
/// <param name="group">The group.</param>
/// <param name="groups">Number of groups.</param>
internal sealed class StepPart(int group, int groups)
{
    private readonly SchedulerOutput _own = new();
    private readonly HashSet<long> _ids = [];

    /// <summary>Number of tokens of every group in the latest step.</summary>
    public GroupRows Rows { get; } = new(group, groups);

    /// <summary>The group's part as a step, which may have no sequences; valid until the next call.</summary>
    public SchedulerOutput Of(SchedulerOutput step)
    {
        _own.Clear();
        _ids.Clear();
        Rows.Clear();
        foreach (var sequence in step.Sequences)
        {
            Rows.Add(sequence.Group, sequence.TokenIds.Length);
            if (sequence.Group != group)
                continue;
            _own.Sequences.Add(sequence);
            _own.TotalTokens += sequence.TokenIds.Length;
            _ids.Add(sequence.SequenceId);
        }

        // A sequence is announced in the step that computes its first tokens.
        _own.NewSequences.AddRange(step.NewSequences.Where(sequence => _ids.Contains(sequence.Id)));
        _own.FinishedIds.AddRange(step.FinishedIds);
        _own.PreemptedIds.AddRange(step.PreemptedIds);
        (_own.StepId, _own.SamplesOnHost, _own.NeedsHistory) = (step.StepId, step.SamplesOnHost, step.NeedsHistory);
        return _own;
    }
}
