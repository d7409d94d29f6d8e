namespace LocalLlm.Grammars;

/// <summary>A grammar is malformed, or too large.</summary>
/// <param name="message">What was found, and where.</param>
public class GrammarException(string message) : Exception(message);

/// <summary>No text at all is allowed here. That is no error if an alternative remains.</summary>
internal sealed class UnsatisfiableException(string message) : GrammarException(message);

/// <summary>An operation took more work than allowed; with a higher limit, or a smaller task, it may succeed.</summary>
internal sealed class GrammarWorkException(string message) : GrammarException(message);
