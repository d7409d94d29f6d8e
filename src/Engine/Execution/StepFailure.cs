namespace LocalLlm.Execution;

/// <summary>Why a step failed. Plain data.</summary>
/// <param name="Details">The whole failure, with types, messages and stacks. For the log only: it may hold details that no caller may
/// see.</param>
/// <param name="IsFatal">Whether the executor cannot go on, for example because memory is exhausted.</param>
internal sealed record StepFailure(string Details, bool IsFatal)
{
    /// <summary>Converts an exception.</summary>
    public static StepFailure From(Exception failure) => new(failure.ToString(), failure is OutOfMemoryException);
}
