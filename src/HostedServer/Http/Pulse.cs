namespace LocalLlm.Server.Http;

/// <summary>Where it is felt that an engine works.</summary>
/// <param name="Made">Tokens, or embeddings, that it has made so far.</param>
/// <param name="CreateOneAsync">Makes it create one more; it fails, or is cancelled, where it cannot.</param>
internal sealed record Pulse(Func<long> Made, Func<CancellationToken, Task> CreateOneAsync)
{
    /// <summary>Of a model that generates text.</summary>
    public static Pulse Of(LlmEngine engine) => new(() => engine.Statistics.GeneratedTokens, engine.ProbeAsync);

    /// <summary>Of a model that embeds it.</summary>
    public static Pulse Of(EmbeddingEngine engine) => new(() => engine.Statistics.Embedded, engine.ProbeAsync);
}
