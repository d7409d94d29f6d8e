using LocalLlm.Extensions.AI;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Health checks of embedding models.</summary>
public static class LocalLlmEmbeddingsHealthChecksBuilderExtensions
{
    /// <summary>Adds a health check of an embedding model: unhealthy while the model loads and after its engine has failed.</summary>
    /// <param name="builder">The builder that <c>AddHealthChecks</c> returns.</param>
    /// <param name="serviceKey">The model's key; null: not keyed.</param>
    /// <param name="name">The check's name; null: <c>localllm-embeddings</c>, or <c>localllm-embeddings-KEY</c> for a keyed model.</param>
    /// <param name="tags">Tags to filter by.</param>
    public static IHealthChecksBuilder AddLocalLlmEmbeddings(this IHealthChecksBuilder builder, object? serviceKey = null, string? name = null, params string[] tags)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return ModelRegistration.AddHealthCheck<EmbeddingHost>(builder, name ?? (serviceKey is null ? "localllm-embeddings" : $"localllm-embeddings-{ModelRegistration.NameOf(serviceKey)}"), serviceKey, tags);
    }
}
