namespace LocalLlm.Grammars;

/// <summary>A grammar is malformed, or too large.</summary>
/// <param name="message">What was found, and where.</param>
public class GrammarException(string message) : Exception(message);

/// <summary>Nothing at all is allowed here: no fault where something else may stand in its place.</summary>
internal sealed class UnsatisfiableException(string message) : GrammarException(message);

/// <summary>Something took more work than was allowed: with more of it, or asked for less, it may go well.</summary>
internal sealed class GrammarWorkException(string message) : GrammarException(message);
