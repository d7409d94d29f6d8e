namespace LocalLlm.Server.Http;

/// <summary>Shows whether an engine makes progress.</summary>
/// <param name="Completed">Number of tokens or embeddings computed so far.</param>
/// <param name="ProbeAsync">Has the engine compute one more; fails or is cancelled if it cannot.</param>
internal sealed record ProgressProbe(Func<long> Completed, Func<CancellationToken, Task> ProbeAsync)
{
    /// <summary>The probe of a model that generates text.</summary>
    public static ProgressProbe Of(LlmEngine engine) => new(() => engine.Statistics.GeneratedTokens, engine.ProbeAsync);

    /// <summary>The probe of a model that embeds text.</summary>
    public static ProgressProbe Of(EmbeddingEngine engine) => new(() => engine.Statistics.Embedded, engine.ProbeAsync);
}
