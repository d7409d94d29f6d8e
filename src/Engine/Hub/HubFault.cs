namespace LocalLlm.Hub;

/// <summary>A failure that another try may not have: the network, a busy server, a broken connection. Never leaves the folder.</summary>
internal sealed class HubFault(string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>How long the server wants to be left alone, or null.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>The server cannot continue in the middle of this file: begin again, and take it whole.</summary>
    public bool RangesIgnored { get; init; }

    /// <summary>As the engine says it once no further try is made.</summary>
    public EngineException Final() => new(EngineErrorKind.Environment, Message, innerException: this);
}
