namespace LocalLlm.Hub;

/// <summary>A failure that a retry may avoid: the network, a busy server, a broken connection. Never leaves this folder's code.</summary>
internal sealed class HubFault(string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>How long the server asks to wait before a retry, or null.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>Whether the server cannot resume this file, so that it must be fetched again from the start.</summary>
    public bool RangesIgnored { get; init; }

    /// <summary>The engine's error once there are no more retries.</summary>
    public EngineException Final() => new(EngineErrorKind.Environment, Message, innerException: this);
}
