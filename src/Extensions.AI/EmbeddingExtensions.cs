using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>Sparse weights and vectors of tokens beside the dense vector.</summary>
public static class EmbeddingExtensions
{
    /// <summary>Where they are in the additional properties.</summary>
    internal const string Property = "localllm";

    /// <summary>All that was asked of a text, or null where the embedding has no more than its dense vector or was made by another generator.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="embedding"/> is null.</exception>
    public static TextEmbedding? GetTextEmbedding(this Embedding<float> embedding)
    {
        ArgumentNullException.ThrowIfNull(embedding);
        return embedding.AdditionalProperties?.TryGetValue(Property, out var value) == true ? value as TextEmbedding : null;
    }
}
