namespace LocalLlm.Execution;

/// <summary>What an executor can do. It states this once, before the first step, and the engine loop adapts to it.</summary>
internal sealed record ExecutorCapabilities
{
    /// <summary>Max number of steps that may be submitted and not completed, at least 1.</summary>
    public int MaxStepsInFlight { get; init; } = 1;

    /// <summary>
    /// Number of stages that a step passes through in turn. No stage idles if as many steps are in flight, each with a share of the
    /// sequences.
    /// </summary>
    public int PipelineStages { get; init; } = 1;

    /// <summary>
    /// Number of data-parallel groups. Each has a KV cache of its own, of the plan's size, and computes its own sequences of a step.
    /// </summary>
    public int DataParallel { get; init; } = 1;

    /// <summary>
    /// Whether the devices feed the tokens that they sample to the next step, so that it can be submitted before the host knows them
    /// (<see cref="ScheduledSequence.UnknownToken"/>). The devices keep the tokens of as many of the latest steps as there are stages.
    /// Does not apply to steps with <see cref="SchedulerOutput.SamplesOnHost"/>.
    /// </summary>
    public bool FeedsSampledTokens { get; init; }

    /// <summary>
    /// If a prompt has more tokens than this, its keys are valid only for prompts of exactly the same length (a dynamic rope beyond its
    /// trained context). Null: the keys of a token depend only on the tokens before it.
    /// </summary>
    public int? PromptLengthThreshold { get; init; }

    /// <summary>Time limit of a step unless the options set one; null: no limit.</summary>
    public TimeSpan? StepTimeout { get; init; }

    /// <summary>How the devices' memory is used, as measured.</summary>
    public required MemoryPlan Plan { get; init; }

    /// <summary>Whether a prompt's cached blocks may be shared only with prompts of the same length.</summary>
    /// <param name="numPromptTokens">The prompt's length.</param>
    public bool DependsOnPromptLength(int numPromptTokens) => numPromptTokens > PromptLengthThreshold;
}
