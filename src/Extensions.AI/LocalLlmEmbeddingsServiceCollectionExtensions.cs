using LocalLlm;
using LocalLlm.Extensions.AI;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers an in-process embedding engine.</summary>
public static class LocalLlmEmbeddingsServiceCollectionExtensions
{
    /// <summary>
    /// Registers an embedding model (bge-m3 or another XLM-RoBERTa encoder) as <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/>. A
    /// host validates the options and loads the model when it starts; its start fails if loading fails. Without a host, the first request
    /// loads the model. The container owns the engine. The container may also hold a chat model (<c>AddLocalLlm</c>).
    /// </summary>
    /// <param name="services">Where to register.</param>
    /// <param name="configure">Applied after the configuration section <c>LocalLlmEmbeddings</c>. One of the two must set
    /// <see cref="LocalLlmEmbeddingsOptions.ModelPath"/>.</param>
    public static IServiceCollection AddLocalLlmEmbeddings(this IServiceCollection services, Action<LocalLlmEmbeddingsOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        return Add(services, null, configure);
    }

    /// <summary>As <see cref="AddLocalLlmEmbeddings"/>, under a key.</summary>
    /// <param name="services">Where to register.</param>
    /// <param name="serviceKey">The key of the generator; its text names the section <c>LocalLlmEmbeddings:KEY</c>.</param>
    /// <param name="configure">Applied after the configuration section.</param>
    public static IServiceCollection AddKeyedLocalLlmEmbeddings(this IServiceCollection services, object serviceKey, Action<LocalLlmEmbeddingsOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(serviceKey);
        return Add(services, serviceKey, configure);
    }

    private static IServiceCollection Add(IServiceCollection services, object? key, Action<LocalLlmEmbeddingsOptions>? configure)
    {
        var isFirst = ModelRegistration.Add<EmbeddingHost, EmbeddingEngine, LocalLlmEmbeddingsOptions>(
            services, key, LocalLlmEmbeddingsOptions.SectionName, configure, (provider, options) => new EmbeddingHost(options, provider.GetService<ILoggerFactory>()));
        if (!isFirst)
            return services;
        services.AddSingleton(provider => new EarlierModel(EmbeddingHost.Of(provider, key)));
        // A chat model's own generator only refuses, as the model computes no embeddings: replace it.
        foreach (var none in services.OfType<NoEmbeddingDescriptor>().Where(service => Equals(service.ServiceKey, key)).ToArray())
            services.Remove(none);
        return services.AddKeyedSingleton<IEmbeddingGenerator<string, Embedding<float>>>(key, (provider, _) => EmbeddingHost.Of(provider, key).AsIEmbeddingGenerator());
    }
}
