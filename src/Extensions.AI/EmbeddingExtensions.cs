using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// What an embedding model of this library does beyond the dense vector: sparse weights, vectors of tokens, rankings by all three.
/// </summary>
public static class EmbeddingExtensions
{
    /// <summary>Where they are in the additional properties.</summary>
    internal const string Property = "localllm";

    /// <summary>
    /// All that was asked of a text, or null where the embedding has no more than its dense vector or was made by another generator.
    /// </summary>
    /// <exception cref="ArgumentNullException"><paramref name="embedding"/> is null.</exception>
    public static TextEmbedding? GetTextEmbedding(this Embedding<float> embedding)
    {
        ArgumentNullException.ThrowIfNull(embedding);
        return embedding.AdditionalProperties?.TryGetValue(Property, out var value) == true ? value as TextEmbedding : null;
    }

    /// <summary>
    /// Orders documents by how well they answer a query: <see cref="EmbeddingEngine.RerankAsync"/> of the engine behind a generator, which
    /// is loaded if need be. Layers around the generator (caches, logs) are not asked.
    /// </summary>
    /// <param name="generator">A generator of <c>AddLocalLlmEmbeddings</c> or <c>AsIEmbeddingGenerator</c>, with or without layers around
    /// it.</param>
    /// <param name="query">The query.</param>
    /// <param name="documents">At least one.</param>
    /// <param name="top">How many are given back; null: all.</param>
    /// <param name="weights">How much each kind of score counts; null: <see cref="HybridWeights.Default"/> as far as the model
    /// goes.</param>
    /// <param name="truncate">Whether a text that is too long is cut at its end; otherwise it is refused.</param>
    /// <param name="cancellationToken">Gives up what has not been computed.</param>
    /// <exception cref="NotSupportedException">The generator is another library's.</exception>
    /// <exception cref="EngineException">A text is refused, or the engine fails.</exception>
    public static async Task<RankedTexts> RerankAsync(
        this IEmbeddingGenerator<string, Embedding<float>> generator, string query, IReadOnlyList<string> documents, int? top = null, HybridWeights? weights = null, bool truncate = false, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(generator);
        if (generator.GetService(typeof(LocalLlmEmbeddingGenerator)) is not LocalLlmEmbeddingGenerator own)
            throw new NotSupportedException($"The generator ({generator.GetType().Name}) has no embedding engine of this library behind it; register one with AddLocalLlmEmbeddings.");
        var engine = await own.GetEngineAsync(cancellationToken).ConfigureAwait(false);
        return await engine.RerankAsync(query, documents, top, weights, truncate, cancellationToken).ConfigureAwait(false);
    }
}
