namespace LocalLlm.Server.Http;

/// <summary>Shows whether an engine makes progress.</summary>
/// <param name="Made">Number of tokens or embeddings computed so far.</param>
/// <param name="CreateOneAsync">Has the engine compute one more; fails or is cancelled if it cannot.</param>
internal sealed record Pulse(Func<long> Made, Func<CancellationToken, Task> CreateOneAsync)
{
    /// <summary>The pulse of a model that generates text.</summary>
    public static Pulse Of(LlmEngine engine) => new(() => engine.Statistics.GeneratedTokens, engine.ProbeAsync);

    /// <summary>The pulse of a model that embeds text.</summary>
    public static Pulse Of(EmbeddingEngine engine) => new(() => engine.Statistics.Embedded, engine.ProbeAsync);
}
