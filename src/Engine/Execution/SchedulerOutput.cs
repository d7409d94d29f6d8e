using System.Text.Json.Serialization;

namespace LocalLlm.Execution;

/// <summary>
/// One step, as every rank gets it: plain data. The scheduler owns it and uses it again once the step's result was reported.
/// Empty: there is nothing to do now, and nothing to report.
/// </summary>
internal sealed class SchedulerOutput
{
    /// <summary>Number of the step, from 1; 0 for an empty output.</summary>
    [JsonRequired]
    public long StepId { get; set; }

    /// <summary>Sequences whose first step this is.</summary>
    [JsonRequired]
    public List<NewSequence> NewSequences { get; init; } = [];

    /// <summary>What to compute.</summary>
    [JsonRequired]
    public List<ScheduledSequence> Sequences { get; init; } = [];

    /// <summary>Sequences that ended since the last step that was not empty: drop their state, before this step.</summary>
    [JsonRequired]
    public List<long> FinishedIds { get; init; } = [];

    /// <summary>Sequences that lost their blocks since the last step that was not empty.</summary>
    [JsonRequired]
    public List<long> PreemptedIds { get; init; } = [];

    /// <summary>Tokens of all sequences together.</summary>
    [JsonRequired]
    public int TotalTokens { get; set; }

    /// <summary>
    /// Whether logits are needed on the host: a sequence asks for log-probabilities. Such a step's tokens are known only with its result.
    /// </summary>
    [JsonRequired]
    public bool SamplesOnHost { get; set; }

    /// <summary>
    /// Whether a choice depends on the tokens before it (penalties, bad words, a grammar, a thinking budget), so that they must be known
    /// first.
    /// </summary>
    [JsonRequired]
    public bool NeedsHistory { get; set; }

    /// <summary>Whether there is nothing to do.</summary>
    public bool IsEmpty => Sequences.Count == 0;

    /// <summary>Removes all of it.</summary>
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
