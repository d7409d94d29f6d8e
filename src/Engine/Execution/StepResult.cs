using System.Text.Json.Serialization;

namespace LocalLlm.Execution;

/// <summary>The result of one step. Plain data.</summary>
internal sealed class StepResult
{
    /// <summary>The step's <see cref="SchedulerOutput.StepId"/>.</summary>
    [JsonRequired]
    public long StepId { get; set; }

    /// <summary>One result for each sequence of the step, in its order; empty if the step failed.</summary>
    [JsonRequired]
    public List<SequenceResult> Sequences { get; init; } = [];

    /// <summary>Why nothing was computed; null: the step succeeded.</summary>
    public StepFailure? Failure { get; set; }

    /// <summary>
    /// How evenly experts were used so far: the mean number of tokens of an expert divided by that of the busiest, averaged over the
    /// layers of the last stage; null: the model has no experts.
    /// </summary>
    public double? ExpertBalance { get; set; }

    /// <summary>A copy with memory of its own.</summary>
    public StepResult Copy() => new()
    {
        StepId = StepId,
        Failure = Failure,
        ExpertBalance = ExpertBalance,
        Sequences = [.. Sequences.Select(sequence => sequence with { Sampled = sequence.Sampled.ToArray(), Drafts = sequence.Drafts.ToArray() })],
    };
}
