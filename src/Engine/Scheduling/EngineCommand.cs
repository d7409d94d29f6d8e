namespace LocalLlm.Scheduling;

/// <summary>A command from another thread to the engine loop; <see cref="CommandReader"/> handles every case.</summary>
internal abstract record EngineCommand
{
    /// <summary>Run a request.</summary>
    public sealed record Submit(LiveRequest Request) : EngineCommand;

    /// <summary>End a request whose caller has left.</summary>
    public sealed record Abort(LiveRequest Request) : EngineCommand;

    /// <summary>End all requests.</summary>
    public sealed record AbortAll : EngineCommand;

    /// <summary>End the loop once no sequence runs.</summary>
    public sealed record Drain : EngineCommand;

    /// <summary>Drop all cached prefixes.</summary>
    public sealed record ResetPrefixCache : EngineCommand;

    /// <summary>Map how the KV blocks are used.</summary>
    public sealed record MapKvBlocks(int Cells, TaskCompletionSource<string> Map) : EngineCommand;
}
