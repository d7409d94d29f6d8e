namespace LocalLlm;

/// <summary>Why a sequence ended.</summary>
public enum FinishReason
{
    /// <summary>An end-of-sequence token, a stop token or a stop string.</summary>
    Stop,

    /// <summary>The token limit of the request or of the context.</summary>
    Length,

    /// <summary>The caller left or cancelled, or the engine shut down.</summary>
    Abort,

    /// <summary>The computation of this sequence failed; other sequences are not affected.</summary>
    Error,
}
