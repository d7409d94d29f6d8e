using LocalLlm;
using LocalLlm.Extensions.AI;
using LocalLlm.Server;
using LocalLlm.Server.Http;
using LocalLlm.Server.Metrics;
using LocalLlm.Server.OpenAI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers the OpenAI server over the engines of <c>AddLocalLlm</c> and <c>AddLocalLlmEmbeddings</c>.</summary>
public static class LocalLlmServerServiceCollectionExtensions
{
    /// <summary>
    /// Registers what <c>MapLocalLlmOpenAI</c> needs. The server uses the engine of <c>AddLocalLlm</c>. If only
    /// <c>AddLocalLlmEmbeddings</c> was called before, the server embeds, ranks and scores, and does not generate. The engine loads while
    /// the host already listens; until it is loaded, requests get status 503 with the loading phase. On shutdown, running requests may
    /// finish for <see cref="LocalLlmServerOptions.ShutdownTimeout"/>. If the engine fails, the server stops the application.
    /// </summary>
    /// <param name="services">Where to register.</param>
    /// <param name="configure">Applied after the configuration section <c>LocalLlm:Server</c>.</param>
    public static IServiceCollection AddLocalLlmServer(this IServiceCollection services, Action<LocalLlmServerOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        var options = services.AddOptions<LocalLlmServerOptions>().Configure<IServiceProvider>((target, provider) => provider.GetService<IConfiguration>()?.GetSection(LocalLlmServerOptions.SectionName).Bind(target));
        if (configure is not null)
            options.Configure(configure);
        if (services.Any(service => service.ServiceType == typeof(Admission)))
            return services;
        options.ValidateOnStart();
        services.AddSingleton<IValidateOptions<LocalLlmServerOptions>, LocalLlmServerOptionsValidator>();
        // An embedding model alone is enough for a server.
        if (HasHost<LlmEngine>(services) || !HasHost<EmbeddingEngine>(services))
            services.AddLocalLlm();
        services.Configure<LocalLlmOptions>(engine => engine.LoadInBackground = true);
        services.Configure<LocalLlmEmbeddingsOptions>(embeddings => embeddings.LoadInBackground = true);
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(provider => provider.GetRequiredService<IOptions<LocalLlmServerOptions>>().Value);
        services.AddSingleton(provider => new ApiKeys(provider.GetRequiredService<LocalLlmServerOptions>().ApiKeys));
        services.AddSingleton(provider => new EngineInstruments(ModelsOf(provider)));
        services.AddSingleton<Admission>().AddSingleton<ServedEngine>().AddSingleton<Readiness>().AddSingleton<ApiPipeline>().AddSingleton<UnknownFields>().AddSingleton<StreamPacer>().AddSingleton<OperationIds>().AddSingleton<BodyBudget>();
        services.AddSingleton<ChatEndpoint>().AddSingleton<CompletionEndpoint>().AddSingleton<EmbeddingEndpoint>().AddSingleton<RerankEndpoint>().AddSingleton<ScoreEndpoint>().AddSingleton<ModelsEndpoint>().AddSingleton<TokenizeEndpoint>().AddSingleton<OperationsEndpoints>();
        services.AddSingleton<EngineWatch>().AddSingleton<IHostedService>(provider => provider.GetRequiredService<EngineWatch>());
        services.AddSingleton<IHostedService, Drain>();
        services.AddSingleton(provider => new LocalLlmServerLifetime(provider.GetRequiredService<Admission>(), provider));
        // The host's shutdown timeout must exceed the drain's.
        services.AddOptions<HostOptions>().Configure<IOptions<LocalLlmServerOptions>>((host, server) =>
        {
            var needed = server.Value.ShutdownTimeout + TimeSpan.FromSeconds(10);
            if (host.ShutdownTimeout < needed || server.Value.ShutdownTimeout < TimeSpan.FromSeconds(20))
                host.ShutdownTimeout = needed;
        });
        return services;
    }

    private static bool HasHost<TEngine>(IServiceCollection services)
        where TEngine : class => services.Any(service => service.ServiceType == typeof(IModelHost<TEngine>) && service.ServiceKey is null);

    private static IReadOnlyList<(object Scope, string Model)> ModelsOf(IServiceProvider provider) =>
        [.. new IModelHost?[] { provider.GetService<IModelHost<LlmEngine>>(), provider.GetService<IModelHost<EmbeddingEngine>>() }.OfType<IModelHost>().Select(host => ((object)host, host.ModelId))];
}
