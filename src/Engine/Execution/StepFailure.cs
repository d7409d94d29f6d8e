namespace LocalLlm.Execution;

/// <summary>Why a step failed. Plain data.</summary>
/// <param name="Details">The whole failure, with types, messages and stacks: for the log only, as it may hold what no caller may
/// see.</param>
/// <param name="IsFatal">Whether the executor cannot go on, as when memory is exhausted.</param>
internal sealed record StepFailure(string Details, bool IsFatal)
{
    /// <summary>From an exception.</summary>
    public static StepFailure From(Exception failure) => new(failure.ToString(), failure is OutOfMemoryException);
}
