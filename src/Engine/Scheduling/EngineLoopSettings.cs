namespace LocalLlm.Scheduling;

/// <summary>The engine's options for its loop.</summary>
internal sealed record EngineLoopSettings
{
    /// <summary>The scheduler's limits.</summary>
    public required SchedulerOptions Scheduler { get; init; }

    /// <summary>The model name that clients use, which tags every measurement.</summary>
    public required string ModelName { get; init; }

    /// <summary>Whether computed prefixes are cached for later prompts.</summary>
    public bool EnablePrefixCaching { get; init; } = true;

    /// <summary>How long a step may take before the engine counts as dead; null: no limit.</summary>
    public StepDeadlines? StepDeadlines { get; init; }

    /// <summary>The meter's scope. It lets a listener tell the instruments of several engines apart.</summary>
    public object? MeterScope { get; init; }
}
