using LocalLlm.Extensions.AI;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Health checks of embedding models.</summary>
public static class LocalLlmEmbeddingsHealthChecksBuilderExtensions
{
    /// <summary>Adds a health check of an embedding model: unhealthy while it loads and when it has failed.</summary>
    /// <param name="builder">What <c>AddHealthChecks</c> gives.</param>
    /// <param name="serviceKey">The model's key; null: it has none.</param>
    /// <param name="name">The check's name; null: <c>localllm-embeddings</c>, of a keyed model with its key.</param>
    /// <param name="tags">Tags to filter by.</param>
    public static IHealthChecksBuilder AddLocalLlmEmbeddings(this IHealthChecksBuilder builder, object? serviceKey = null, string? name = null, params string[] tags)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return ModelRegistration.AddHealthCheck<EmbeddingHost>(builder, name ?? (serviceKey is null ? "localllm-embeddings" : $"localllm-embeddings-{ModelRegistration.NameOf(serviceKey)}"), serviceKey, tags);
    }
}
