namespace LocalLlm.Samples.Rag;

/// <summary>A fault that the user can correct; the message says what was found, what is allowed and what to do.</summary>
internal sealed class RagException(string message, Exception? inner = null) : Exception(message, inner);
