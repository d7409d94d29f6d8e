using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>The cause of a <see cref="TokenizerException"/>.</summary>
public enum TokenizerErrorKind
{
    /// <summary>A file of the tokenizer is missing, malformed, of an unsupported kind, or enlarges a text too much.</summary>
    File,

    /// <summary>A token id is out of range.</summary>
    TokenId,

    /// <summary>The process has no Unicode data, which the tokenizer needs.</summary>
    Environment,
}

/// <summary>The only exception that this library throws, apart from those for null arguments.</summary>
public sealed class TokenizerException : Exception
{
    /// <summary>Creates an exception of one <paramref name="kind"/>.</summary>
    /// <param name="kind">The cause.</param>
    /// <param name="message">What was found, and what is allowed.</param>
    /// <param name="innerException">The underlying failure, or null.</param>
    public TokenizerException(TokenizerErrorKind kind, string message, Exception? innerException = null)
        : base(message, innerException) => Kind = kind;

    /// <summary>The cause.</summary>
    public TokenizerErrorKind Kind { get; }

    internal static TokenizerException File(string file, string problem, Exception? cause = null) => new(TokenizerErrorKind.File, $"{file}: {problem}", cause);

    internal static TokenizerException File(UntrustedFileException refusal) => new(TokenizerErrorKind.File, refusal.Message, refusal.InnerException);
}
