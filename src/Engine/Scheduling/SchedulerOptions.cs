namespace LocalLlm.Scheduling;

/// <summary>The limits of the <see cref="Scheduler"/>, under vLLM's names.</summary>
internal sealed record SchedulerOptions
{
    /// <summary>Maximum number of tokens of one sequence, prompt and output; at least 2.</summary>
    public required int MaxModelLen { get; init; }

    /// <summary>Maximum number of tokens computed in one step.</summary>
    public int MaxNumBatchedTokens { get; init; } = 2048;

    /// <summary>
    /// Maximum number of admitted sequences; at most <see cref="MaxNumBatchedTokens"/>, because each gets a token every step.
    /// </summary>
    public int MaxNumSeqs { get; init; } = 256;

    /// <summary>
    /// Number of steps that share the running sequences evenly, one for each pipeline stage. A step takes only its share, so that other
    /// steps can follow it before it is complete.
    /// </summary>
    public int MicroBatches { get; init; } = 1;

    /// <summary>Whether a prompt may be spread over several steps. If not, the token budget must hold <see cref="MaxModelLen"/>.</summary>
    public bool EnableChunkedPrefill { get; init; } = true;

    /// <summary>Maximum number of tokens of one sequence in one step, without its drafts; 0: only the budget limits it.</summary>
    public int LongPrefillTokenThreshold { get; init; }

    /// <summary>Maximum number of queued sequences; null: no limit. Preempted ones count but are never refused.</summary>
    public int? MaxNumWaiting { get; init; }

    /// <summary>Order of service.</summary>
    public SchedulingPolicy Policy { get; init; } = SchedulingPolicy.Fcfs;

    /// <summary>
    /// Admits a sequence only if the free blocks hold all of its known tokens, besides the rest of the prompts already admitted. Otherwise
    /// only its first chunk must fit, so sequences may be admitted too early and preempt one another.
    /// </summary>
    public bool ReserveFullPrompt { get; init; } = true;

    /// <summary>Share of all blocks that admission leaves free for the growth of running sequences, from 0 to below 1.</summary>
    public double AdmissionWatermark { get; init; }

    /// <summary>Max number of drafts of a sequence in a step; 0: none.</summary>
    public int MaxDrafts { get; init; }

    /// <summary>Max number of drafts of all sequences in a step.</summary>
    public int MaxDraftsOfStep { get; init; } = int.MaxValue;

    /// <summary>Creates the drafter of a sequence; null: no drafts.</summary>
    public Func<IDrafter>? CreateDrafter { get; init; }

    /// <summary>The drafters' shared learning budget, which the scheduler refills for every step; null: none.</summary>
    public LearningBudget? Learning { get; init; }

    /// <summary>Throws for the first option that is out of range or conflicts with another.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public void Validate()
    {
        Require(MaxModelLen >= 2, "max_model_len", $"max_model_len is {MaxModelLen}; it must be at least 2");
        Require(MaxNumSeqs >= 1, "max_num_seqs", $"max_num_seqs is {MaxNumSeqs}; it must be at least 1");
        Require(
            MaxNumBatchedTokens >= MaxNumSeqs,
            "max_num_batched_tokens",
            $"max_num_batched_tokens is {MaxNumBatchedTokens}; it must be at least max_num_seqs ({MaxNumSeqs})");
        Require(
            EnableChunkedPrefill || MaxNumBatchedTokens >= MaxModelLen,
            "max_num_batched_tokens",
            $"max_num_batched_tokens is {MaxNumBatchedTokens}; without chunked prefill it must be at least max_model_len ({MaxModelLen})");
        Require(
            LongPrefillTokenThreshold >= 0,
            "long_prefill_token_threshold",
            $"long_prefill_token_threshold is {LongPrefillTokenThreshold}; it must be 0 (off) or more");
        Require(
            EnableChunkedPrefill || LongPrefillTokenThreshold == 0,
            "long_prefill_token_threshold",
            $"long_prefill_token_threshold is {LongPrefillTokenThreshold}, but chunked prefill is off; " +
            "enable it or set the threshold to 0");
        Require(
            MaxNumWaiting is null or >= 1,
            "max_num_waiting",
            $"max_num_waiting is {MaxNumWaiting}; it must be at least 1, or null for no limit");
        Require(
            AdmissionWatermark is >= 0 and < 1,
            "admission_watermark",
            FormattableString.Invariant($"admission_watermark is {AdmissionWatermark}; it must be at least 0 and below 1"));
        Require(MaxDrafts >= 0, "num_speculative_tokens", $"num_speculative_tokens is {MaxDrafts}; it must be 0 (off) or more");
        Require(Enum.IsDefined(Policy), "scheduling_policy", $"scheduling_policy {Policy} is unknown");
    }

    private static void Require(bool condition, string parameter, string message)
    {
        if (!condition)
            throw new EngineException(EngineErrorKind.InvalidOptions, message, parameter);
    }
}
