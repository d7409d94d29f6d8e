using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// What an embedding model of this library offers beyond the dense vector: sparse weights, token vectors, and ranking by all three.
/// </summary>
public static class EmbeddingExtensions
{
    /// <summary>The name of the result among the additional properties.</summary>
    internal const string Property = "localllm";

    /// <summary>
    /// Returns all embeddings requested for a text. Null if there is only the dense vector, or if another generator created the embedding.
    /// </summary>
    /// <exception cref="ArgumentNullException"><paramref name="embedding"/> is null.</exception>
    public static TextEmbedding? GetTextEmbedding(this Embedding<float> embedding)
    {
        ArgumentNullException.ThrowIfNull(embedding);
        return embedding.AdditionalProperties?.TryGetValue(Property, out var value) == true ? value as TextEmbedding : null;
    }

    /// <summary>
    /// Orders documents by how well they answer a query, with <see cref="EmbeddingEngine.RerankAsync"/> of the generator's engine. Loads
    /// the engine if needed. The call bypasses layers around the generator (caches, logs).
    /// </summary>
    /// <param name="generator">A generator of <c>AddLocalLlmEmbeddings</c> or <c>AsIEmbeddingGenerator</c>, with or without layers around
    /// it.</param>
    /// <param name="query">The query.</param>
    /// <param name="documents">At least one.</param>
    /// <param name="top">Number of documents to return; null: all.</param>
    /// <param name="weights">The weight of each kind of score; null: <see cref="HybridWeights.Default"/>, for the kinds that the model
    /// has.</param>
    /// <param name="truncate">Whether a text that is too long is truncated at its end; otherwise it is refused.</param>
    /// <param name="cancellationToken">Cancels what has not been computed yet.</param>
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
