namespace LocalLlm.Primitives;

/// <summary>A regular expression is malformed, or has what its dialect does not do.</summary>
/// <param name="message">What, and at which character.</param>
public sealed class RegexSyntaxException(string message) : FormatException(message);
