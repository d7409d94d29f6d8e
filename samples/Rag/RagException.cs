namespace LocalLlm.Samples.Rag;

/// <summary>Something that the user can mend; the message says what was found, what is allowed and what to do.</summary>
internal sealed class RagException(string message, Exception? inner = null) : Exception(message, inner);
