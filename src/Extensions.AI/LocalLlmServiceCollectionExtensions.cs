using LocalLlm;
using LocalLlm.Extensions.AI;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers the in-process engine.</summary>
public static class LocalLlmServiceCollectionExtensions
{
    /// <summary>
    /// Registers one engine and an <see cref="IChatClient"/> over it. It also registers an
    /// <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/> that refuses requests unless <c>AddLocalLlmEmbeddings</c> registers an
    /// embedding model. A host validates the options and loads the model when it starts; its start fails if loading fails. Without a host,
    /// the first request loads the model. Embedding models (<c>AddLocalLlmEmbeddings</c>) are loaded first, because this engine takes all
    /// memory that is left. The container owns the engine.
    /// </summary>
    /// <param name="services">Where to register.</param>
    /// <param name="configure">Applied after the configuration section <c>LocalLlm</c>. One of the two must set
    /// <see cref="LocalLlmOptions.ModelPath"/>.</param>
    public static ILocalLlmBuilder AddLocalLlm(this IServiceCollection services, Action<LocalLlmOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        return Add(services, null, configure);
    }

    /// <summary>As <see cref="AddLocalLlm"/>, under a key, for several models side by side.</summary>
    /// <param name="services">Where to register.</param>
    /// <param name="serviceKey">The key of all its services; its text names the options and the section <c>LocalLlm:KEY</c>.</param>
    /// <param name="configure">Applied after the configuration section.</param>
    public static ILocalLlmBuilder AddKeyedLocalLlm(this IServiceCollection services, object serviceKey, Action<LocalLlmOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(serviceKey);
        return Add(services, serviceKey, configure);
    }

    /// <summary>
    /// Puts middleware around the engine's chat client, such as <c>UseFunctionInvocation()</c> or <c>UseOpenTelemetry()</c>. The first step
    /// that is added is the outermost.
    /// </summary>
    public static ILocalLlmBuilder ConfigureChatClient(this ILocalLlmBuilder builder, Action<ChatClientBuilder> configure)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(configure);
        builder.Services.Configure<ChatPipelineOptions>(builder.Name, pipeline => pipeline.Steps.Add(configure));
        return builder;
    }

    /// <summary>Adds a health check of the engine: unhealthy while the engine loads and after it has failed.</summary>
    /// <param name="builder">The engine.</param>
    /// <param name="name">The check's name; null: <c>localllm</c>, or <c>localllm-KEY</c> for a keyed engine.</param>
    /// <param name="tags">Tags to filter by.</param>
    public static ILocalLlmBuilder AddHealthCheck(this ILocalLlmBuilder builder, string? name = null, params string[] tags)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ModelRegistration.AddHealthCheck<EngineHost>(builder.Services.AddHealthChecks(), name ?? (builder.ServiceKey is null ? "localllm" : $"localllm-{builder.Name}"), builder.ServiceKey, tags);
        return builder;
    }

    private static LocalLlmBuilder Add(IServiceCollection services, object? key, Action<LocalLlmOptions>? configure)
    {
        var builder = new LocalLlmBuilder(services, key, ModelRegistration.NameOf(key));
        var isFirst = ModelRegistration.Add<EngineHost, LlmEngine, LocalLlmOptions>(services, key, LocalLlmOptions.SectionName, configure, (provider, options) =>
            new EngineHost(options, provider.GetService<ILoggerFactory>(), () => provider.GetServices<EarlierModel>().Select(model => model.Host), provider.GetService<IHostApplicationLifetime>()));
        if (!isFirst)
            return builder;
        services.AddKeyedSingleton(key, (provider, _) => CreateChatClient(provider, key, builder.Name));
        services.TryAdd(new NoEmbeddingDescriptor(key));
        return builder;
    }

    private static IChatClient CreateChatClient(IServiceProvider provider, object? key, string name)
    {
        var host = EngineHost.Of(provider, key);
        var builder = new ChatClientBuilder(host.AsIChatClient());
        foreach (var step in provider.GetRequiredService<IOptionsMonitor<ChatPipelineOptions>>().Get(name).Steps)
            step(builder);
        return builder.Build(provider);
    }
}
