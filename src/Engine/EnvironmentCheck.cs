namespace LocalLlm;

/// <summary>How one thing that the engine can use was found.</summary>
public enum EnvironmentCheckStatus
{
    /// <summary>There, and new enough.</summary>
    Ok,

    /// <summary>Absent, and needed only for what its name says.</summary>
    Absent,

    /// <summary>There, but broken or too old.</summary>
    Unusable,
}

/// <summary>One finding of <see cref="LlmEngine.CheckEnvironment"/>.</summary>
/// <param name="Name">What was looked for.</param>
/// <param name="Status">How it was found.</param>
/// <param name="Found">Version, place or size; or what is wrong.</param>
/// <param name="Advice">What to do about it; empty where nothing is.</param>
public sealed record EnvironmentCheck(string Name, EnvironmentCheckStatus Status, string Found, string Advice);
