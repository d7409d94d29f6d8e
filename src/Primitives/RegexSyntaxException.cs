namespace LocalLlm.Primitives;

/// <summary>A regular expression is malformed, or has something that its dialect does not support.</summary>
/// <param name="message">The error, and at which character.</param>
public sealed class RegexSyntaxException(string message) : FormatException(message);
