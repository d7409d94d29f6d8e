namespace LocalLlm;

/// <summary>The result of checking one thing that the engine can use.</summary>
public enum EnvironmentCheckStatus
{
    /// <summary>Present and new enough.</summary>
    Ok,

    /// <summary>Absent, and needed only for the purpose in the check's name.</summary>
    Absent,

    /// <summary>Present, but broken or too old.</summary>
    Unusable,
}

/// <summary>One finding of <see cref="LlmEngine.CheckEnvironment"/>.</summary>
/// <param name="Name">What was looked for.</param>
/// <param name="Status">How it was found.</param>
/// <param name="Found">Version, place or size, or what is wrong.</param>
/// <param name="Advice">What to do about it; empty if nothing.</param>
public sealed record EnvironmentCheck(string Name, EnvironmentCheckStatus Status, string Found, string Advice);
