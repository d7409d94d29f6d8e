namespace LocalLlm.Execution;

/// <summary>What an executor can do. It says so once, before the first step; the engine loop decides everything else from it.</summary>
internal sealed record ExecutorCapabilities
{
    /// <summary>Max number of steps that may be submitted and not completed, at least 1.</summary>
    public int MaxStepsInFlight { get; init; } = 1;

    /// <summary>
    /// Stages that a step passes through, one after the other: with a share of the sequences in each of as many steps, none of them idles.
    /// </summary>
    public int PipelineStages { get; init; } = 1;

    /// <summary>
    /// Data-parallel groups: each has a KV cache of its own, as large as the plan says, and computes its own sequences of a step.
    /// </summary>
    public int DataParallel { get; init; } = 1;

    /// <summary>
    /// Whether the devices keep the tokens that they sample and feed them to the next step, so that it may be submitted before they are
    /// known (<see cref="ScheduledSequence.UnknownToken"/>): those of as many of the latest steps as there are stages. Holds for steps
    /// without <see cref="SchedulerOutput.SamplesOnHost"/>.
    /// </summary>
    public bool FeedsSampledTokens { get; init; }

    /// <summary>
    /// The keys of a prompt with more tokens than this fit only prompts of exactly the same length (a dynamic rope beyond its trained
    /// context); null: the keys of a token depend on the tokens before it alone.
    /// </summary>
    public int? PromptLengthThreshold { get; init; }

    /// <summary>The longest that a step may take unless the options say otherwise; null: any time.</summary>
    public TimeSpan? StepTimeout { get; init; }

    /// <summary>Where the memory of the devices goes, as it was measured.</summary>
    public required MemoryPlan Plan { get; init; }

    /// <summary>Whether cached blocks of such a prompt may be shared only with prompts of the same length.</summary>
    /// <param name="numPromptTokens">The prompt's length.</param>
    public bool DependsOnPromptLength(int numPromptTokens) => numPromptTokens > PromptLengthThreshold;
}
