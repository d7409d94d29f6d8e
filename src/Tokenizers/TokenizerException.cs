using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Whose fault a <see cref="TokenizerException"/> is.</summary>
public enum TokenizerErrorKind
{
    /// <summary>A file of the tokenizer is missing, malformed, of a kind that is not supported, or makes too much of a text.</summary>
    File,

    /// <summary>A token id is out of range.</summary>
    TokenId,

    /// <summary>The process lacks what the tokenizer needs: Unicode data.</summary>
    Environment,
}

/// <summary>The one exception of this library beside those for null arguments.</summary>
public sealed class TokenizerException : Exception
{
    /// <summary>Creates an exception of one <paramref name="kind"/>.</summary>
    /// <param name="kind">Whose fault it is.</param>
    /// <param name="message">What was found, what is allowed.</param>
    /// <param name="innerException">The underlying failure, or null.</param>
    public TokenizerException(TokenizerErrorKind kind, string message, Exception? innerException = null)
        : base(message, innerException) => Kind = kind;

    /// <summary>Whose fault it is.</summary>
    public TokenizerErrorKind Kind { get; }

    internal static TokenizerException File(string file, string problem, Exception? cause = null) => new(TokenizerErrorKind.File, $"{file}: {problem}", cause);

    internal static TokenizerException File(UntrustedFileException refusal) => new(TokenizerErrorKind.File, refusal.Message, refusal.InnerException);
}
