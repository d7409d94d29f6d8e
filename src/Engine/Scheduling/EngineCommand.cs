namespace LocalLlm.Scheduling;

/// <summary>What other threads ask of the engine loop: a case for each, which <see cref="CommandReader"/> knows.</summary>
internal abstract record EngineCommand
{
    /// <summary>Run a request.</summary>
    public sealed record Submit(LiveRequest Request) : EngineCommand;

    /// <summary>End a request whose caller has left.</summary>
    public sealed record Abort(LiveRequest Request) : EngineCommand;

    /// <summary>End all requests.</summary>
    public sealed record AbortAll : EngineCommand;

    /// <summary>End the loop when nothing runs any more.</summary>
    public sealed record Drain : EngineCommand;

    /// <summary>Forget all cached prefixes.</summary>
    public sealed record ResetPrefixCache : EngineCommand;

    /// <summary>Draw what the KV blocks are used for.</summary>
    public sealed record MapKvBlocks(int Cells, TaskCompletionSource<string> Map) : EngineCommand;
}
