namespace LocalLlm.Sampling;

/// <summary>Why one sequence failed, in words for its caller. Plain data.</summary>
/// <param name="Kind">The cause.</param>
/// <param name="Message">What was found, what is allowed, what to do.</param>
/// <param name="Parameter">The request's field to blame, or null.</param>
internal sealed record SequenceFailure(EngineErrorKind Kind, string Message, string? Parameter = null)
{
    /// <summary>Converts an exception.</summary>
    public static SequenceFailure From(EngineException failure) => new(failure.Kind, failure.Message, failure.Parameter);

    /// <summary>The exception for the caller.</summary>
    public EngineException ToException() => new(Kind, Message, Parameter);
}
