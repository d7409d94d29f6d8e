namespace LocalLlm.Tool;

/// <summary>Options that are fine one by one but make no sense together.</summary>
internal sealed class UsageException(string message) : Exception(message);
