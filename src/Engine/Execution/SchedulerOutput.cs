using System.Text.Json.Serialization;

namespace LocalLlm.Execution;

/// <summary>
/// One step, as every rank gets it: plain data. The scheduler owns it and reuses it once the step's result is reported.
/// If empty, there is nothing to do now, and nothing to report.
/// </summary>
internal sealed class SchedulerOutput
{
    /// <summary>The step's number, from 1; 0 for an empty output.</summary>
    [JsonRequired]
    public long StepId { get; set; }

    /// <summary>Sequences whose first step this is.</summary>
    [JsonRequired]
    public List<NewSequence> NewSequences { get; init; } = [];

    /// <summary>The sequences to compute, with their positions.</summary>
    [JsonRequired]
    public List<ScheduledSequence> Sequences { get; init; } = [];

    /// <summary>Sequences that ended since the last non-empty step: drop their state before this step.</summary>
    [JsonRequired]
    public List<long> FinishedIds { get; init; } = [];

    /// <summary>Sequences preempted since the last non-empty step.</summary>
    [JsonRequired]
    public List<long> PreemptedIds { get; init; } = [];

    /// <summary>Number of tokens of all sequences.</summary>
    [JsonRequired]
    public int TotalTokens { get; set; }

    /// <summary>
    /// Whether the host needs logits because a sequence asks for log-probabilities. Such a step's tokens are known only with its result.
    /// </summary>
    [JsonRequired]
    public bool SamplesOnHost { get; set; }

    /// <summary>
    /// Whether choosing a token depends on the tokens before it (penalties, bad words, a grammar, a thinking budget), so that these must
    /// be known first.
    /// </summary>
    [JsonRequired]
    public bool NeedsHistory { get; set; }

    /// <summary>Whether there is nothing to do.</summary>
    public bool IsEmpty => Sequences.Count == 0;

    /// <summary>Empties the output.</summary>
    public void Clear()
    {
        StepId = 0;
        TotalTokens = 0;
        SamplesOnHost = NeedsHistory = false;
        NewSequences.Clear();
        Sequences.Clear();
        FinishedIds.Clear();
        PreemptedIds.Clear();
    }
}
