using System.Text.Json.Serialization;

namespace LocalLlm.Execution;

/// <summary>What became of one step. Plain data.</summary>
internal sealed class StepResult
{
    /// <summary>The step's <see cref="SchedulerOutput.StepId"/>.</summary>
    [JsonRequired]
    public long StepId { get; set; }

    /// <summary>One per sequence of the step, in its order; empty where the step failed.</summary>
    [JsonRequired]
    public List<SequenceResult> Sequences { get; init; } = [];

    /// <summary>Why nothing was computed; null: all was.</summary>
    public StepFailure? Failure { get; set; }

    /// <summary>
    /// How evenly experts were used until now: tokens of the mean expert over those of the busiest, the mean over the layers of the last
    /// stage; null: there are none.
    /// </summary>
    public double? ExpertBalance { get; set; }

    /// <summary>The same in memory of its own.</summary>
    public StepResult Copy() => new()
    {
        StepId = StepId,
        Failure = Failure,
        ExpertBalance = ExpertBalance,
        Sequences = [.. Sequences.Select(sequence => sequence with { Sampled = sequence.Sampled.ToArray(), Drafts = sequence.Drafts.ToArray() })],
    };
}
