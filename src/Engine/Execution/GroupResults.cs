namespace LocalLlm.Execution;

/// <summary>Merges the results of data-parallel groups, in the order of the step that all of them got.</summary>
/// <param name="groups">Number of groups.</param>
internal sealed class GroupResults(int groups)
{
    private readonly Queue<SchedulerOutput> _steps = new(); // submitted and not complete, oldest first
    private readonly int[] _next = new int[groups];
    private readonly StepResult _whole = new();

    /// <summary>Records a step, which must stay unchanged until its result is reported.</summary>
    public void Submit(SchedulerOutput step) => _steps.Enqueue(step);

    /// <summary>The merged result of the oldest step; it refers to the memory of the groups' results.</summary>
    /// <param name="results">The result of each group.</param>
    public StepResult Complete(IReadOnlyList<StepResult> results)
    {
        var step = _steps.Dequeue();
        Array.Clear(_next);
        _whole.Sequences.Clear();
        (_whole.StepId, _whole.ExpertBalance) = (results[0].StepId, results[0].ExpertBalance);
        foreach (var sequence in step.Sequences)
            _whole.Sequences.Add(results[sequence.Group].Sequences[_next[sequence.Group]++]);
        return _whole;
    }
}
