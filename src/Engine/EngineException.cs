using LocalLlm.Tokenizers;

namespace LocalLlm;

/// <summary>
/// The engine's one exception type. Its message states what was found, what is allowed and what to do. Messages are safe to show to a
/// remote caller, except those of kind <see cref="EngineErrorKind.ModelFolder"/>, <see cref="EngineErrorKind.Environment"/> and
/// <see cref="EngineErrorKind.InvalidOptions"/>, which are meant for the operator.
/// </summary>
public sealed class EngineException : Exception
{
    /// <summary>Creates an exception of one <paramref name="kind"/>.</summary>
    /// <param name="kind">The cause.</param>
    /// <param name="message">One clear sentence: found, wanted, what to do.</param>
    /// <param name="parameter">The request field or option to blame, under its vLLM name, or null.</param>
    /// <param name="innerException">The underlying failure, or null.</param>
    public EngineException(EngineErrorKind kind, string message, string? parameter = null, Exception? innerException = null)
        : base(message, innerException)
    {
        Kind = kind;
        Parameter = parameter;
    }

    /// <summary>The cause.</summary>
    public EngineErrorKind Kind { get; }

    /// <summary>The request field or option to blame, under its vLLM name (<c>top_p</c>), or null.</summary>
    public string? Parameter { get; }

    /// <summary>
    /// For <see cref="EngineErrorKind.InvalidRequest"/>: whether the request's only fault is fields that the engine knows but does not
    /// support.
    /// </summary>
    public bool IsUnsupported { get; init; }

    /// <summary>A malformed model folder. The message names the <paramref name="file"/>, without the folder's path.</summary>
    /// <param name="file">The file's name, such as <c>config.json</c>.</param>
    /// <param name="problem">The field, what was found, and what is expected.</param>
    /// <param name="innerException">The underlying failure, or null.</param>
    public static EngineException ModelFolder(string file, string problem, Exception? innerException = null) =>
        new(EngineErrorKind.ModelFolder, $"{file}: {problem}", parameter: null, innerException);

    /// <summary>A request that cannot succeed unchanged.</summary>
    /// <param name="parameter">The field to blame, under its vLLM name.</param>
    /// <param name="problem">What was given and what is allowed.</param>
    public static EngineException InvalidRequest(string? parameter, string problem) =>
        new(EngineErrorKind.InvalidRequest, problem, parameter);

    /// <summary>
    /// Wraps a tokenizer's failure in an engine exception, for callers that use <see cref="LlmEngine.Tokenizer"/> directly.
    /// </summary>
    /// <param name="failure">The failure.</param>
    public static EngineException Of(TokenizerException failure)
    {
        ArgumentNullException.ThrowIfNull(failure);
        return failure.Kind switch
        {
            TokenizerErrorKind.File => new(EngineErrorKind.ModelFolder, failure.Message, parameter: null, failure.InnerException),
            TokenizerErrorKind.TokenId => InvalidRequest("token_ids", failure.Message),
            _ => new(EngineErrorKind.Environment, failure.Message),
        };
    }
}
