namespace LocalLlm.Scheduling;

/// <summary>What of an engine's options concerns its loop.</summary>
internal sealed record EngineLoopSettings
{
    /// <summary>The scheduler's limits.</summary>
    public required SchedulerOptions Scheduler { get; init; }

    /// <summary>The name that clients call the model: the tag of every measurement.</summary>
    public required string ModelName { get; init; }

    /// <summary>Whether computed prefixes are kept for later prompts.</summary>
    public bool EnablePrefixCaching { get; init; } = true;

    /// <summary>How long a step may take before the engine counts as dead; null: any time.</summary>
    public StepDeadlines? StepDeadlines { get; init; }

    /// <summary>The meter's scope, by which a listener knows one engine's from another's.</summary>
    public object? MeterScope { get; init; }
}
