using LocalLlm.Tokenizers;

namespace LocalLlm;

/// <summary>
/// The one exception type of the engine. Its message states what was found, what is allowed and what to do, and holds
/// nothing that a remote caller must not see except for <see cref="EngineErrorKind.ModelFolder"/>,
/// <see cref="EngineErrorKind.Environment"/> and <see cref="EngineErrorKind.InvalidOptions"/>, which speak to the operator.
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
    /// Of an <see cref="EngineErrorKind.InvalidRequest"/>: whether all that is wrong with it are fields that the engine knows and does not
    /// honour.
    /// </summary>
    public bool IsUnsupported { get; init; }

    /// <summary>A malformed model folder: names the <paramref name="file"/> (its name without the folder's path) in the message.</summary>
    /// <param name="file">The file's name, such as <c>config.json</c>.</param>
    /// <param name="problem">Field, what was found, what was wanted.</param>
    /// <param name="innerException">The underlying failure, or null.</param>
    public static EngineException ModelFolder(string file, string problem, Exception? innerException = null) =>
        new(EngineErrorKind.ModelFolder, $"{file}: {problem}", parameter: null, innerException);

    /// <summary>A request that can never succeed as it is.</summary>
    /// <param name="parameter">The field to blame, under its vLLM name.</param>
    /// <param name="problem">What was given, what is allowed.</param>
    public static EngineException InvalidRequest(string? parameter, string problem) =>
        new(EngineErrorKind.InvalidRequest, problem, parameter);

    /// <summary>A tokenizer's failure as one of the engine's, for those that use <see cref="LlmEngine.Tokenizer"/> themselves.</summary>
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
