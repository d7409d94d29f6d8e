namespace LocalLlm.KvCache;

/// <summary>The error of a broken KV-cache invariant: a fault of the engine, after which no response can be trusted.</summary>
internal static class KvCacheIntegrity
{
    public static EngineException Broken(string found) =>
        new(EngineErrorKind.EngineDead, $"KV cache integrity: {found}. The engine must be restarted; please report this.");
}
