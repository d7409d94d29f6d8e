namespace LocalLlm.Tool;

/// <summary>The options are valid one by one, but not together.</summary>
internal sealed class UsageException(string message) : Exception(message);
