using System.Globalization;
using LocalLlm.Extensions.AI;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers an in-process embedding engine.</summary>
public static class LocalLlmEmbeddingsServiceCollectionExtensions
{
    /// <summary>
    /// Registers an embedding model (bge-m3 or another XLM-RoBERTa encoder) as <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/>. A host loads it when it starts, and fails there if it cannot; without a host the first
    /// request does. The container owns the engine. A chat model of <c>AddLocalLlm</c> may stand beside it.
    /// </summary>
    /// <param name="services">Where to register.</param>
    /// <param name="configure">Comes after the configuration section <c>LocalLlmEmbeddings</c>; one of them names at least <see cref="LocalLlmEmbeddingsOptions.ModelPath"/>.</param>
    public static IServiceCollection AddLocalLlmEmbeddings(this IServiceCollection services, Action<LocalLlmEmbeddingsOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        return Add(services, null, configure);
    }

    /// <summary>As <see cref="AddLocalLlmEmbeddings"/>, under a key.</summary>
    /// <param name="services">Where to register.</param>
    /// <param name="serviceKey">The key of the generator; its text names the section <c>LocalLlmEmbeddings:KEY</c>.</param>
    /// <param name="configure">Comes after the configuration section.</param>
    public static IServiceCollection AddKeyedLocalLlmEmbeddings(this IServiceCollection services, object serviceKey, Action<LocalLlmEmbeddingsOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(serviceKey);
        return Add(services, serviceKey, configure);
    }

    private static IServiceCollection Add(IServiceCollection services, object? key, Action<LocalLlmEmbeddingsOptions>? configure)
    {
        var name = key is null ? Options.Options.DefaultName : Convert.ToString(key, CultureInfo.InvariantCulture) ?? "";
        var section = key is null ? LocalLlmEmbeddingsOptions.SectionName : ConfigurationPath.Combine(LocalLlmEmbeddingsOptions.SectionName, name);
        var isFirst = !services.Any(service => service.ServiceType == typeof(EmbeddingHost) && Equals(service.ServiceKey, key));
        var options = services.AddOptions<LocalLlmEmbeddingsOptions>(name);
        if (isFirst)
            options.Configure<IServiceProvider>((target, provider) => provider.GetService<IConfiguration>()?.GetSection(section).Bind(target));
        if (configure is not null)
            options.Configure(configure);
        if (!isFirst)
            return services;
        services.AddKeyedSingleton(key, (provider, _) =>
            new EmbeddingHost(() => provider.GetRequiredService<IOptionsMonitor<LocalLlmEmbeddingsOptions>>().Get(name), provider.GetService<ILoggerFactory>()));
        services.AddSingleton<IHostedService>(provider => EmbeddingHost.Of(provider, key));
        // A chat model's own generator only says that it makes no embeddings.
        services.RemoveAllKeyed<IEmbeddingGenerator<string, Embedding<float>>>(key);
        return services.AddKeyedSingleton<IEmbeddingGenerator<string, Embedding<float>>>(key, (provider, _) =>
        {
            var host = EmbeddingHost.Of(provider, key);
            return new LocalLlmEmbeddingGenerator(host.GetAsync, () => host.Loaded, host.ModelId);
        });
    }
}
