using LocalLlm;
using LocalLlm.Extensions.AI;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;
using Microsoft.SemanticKernel;
using Microsoft.SemanticKernel.ChatCompletion;
using Microsoft.SemanticKernel.TextGeneration;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>
/// Registers an engine's services for Semantic Kernel. The caller keeps owning an engine that it passes: nothing here disposes it.
/// </summary>
public static class LocalLlmKernelServiceCollectionExtensions
{
    /// <summary>Registers an <see cref="IChatCompletionService"/>.</summary>
    /// <param name="services">Where to register.</param>
    /// <param name="engine">The engine.</param>
    /// <param name="serviceId">The service's key, or null.</param>
    public static IServiceCollection AddLocalLlmChatCompletion(this IServiceCollection services, LlmEngine engine, string? serviceId = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(engine);
        return services.AddKeyedSingleton<IChatCompletionService>(serviceId, (provider, _) => new LocalLlmChatCompletionService(engine.AsIChatClient(), provider));
    }

    /// <summary>
    /// Registers an <see cref="ITextGenerationService"/> and an <see cref="IChatCompletionService"/>. With a text service alone, Semantic
    /// Kernel would pass it the markup of chat prompts as text.
    /// </summary>
    /// <inheritdoc cref="AddLocalLlmChatCompletion(IServiceCollection, LlmEngine, string?)"/>
    public static IServiceCollection AddLocalLlmTextGeneration(this IServiceCollection services, LlmEngine engine, string? serviceId = null)
    {
        services.AddLocalLlmChatCompletion(engine, serviceId);
        return services.AddKeyedSingleton<ITextGenerationService>(serviceId, (_, _) => new LocalLlmTextGenerationService(engine));
    }

    /// <summary>Registers an <see cref="IChatClient"/> that calls the kernel's functions.</summary>
    /// <inheritdoc cref="AddLocalLlmChatCompletion(IServiceCollection, LlmEngine, string?)"/>
    public static IServiceCollection AddLocalLlmChatClient(this IServiceCollection services, LlmEngine engine, string? serviceId = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(engine);
        return services.AddKeyedSingleton(serviceId, (provider, _) =>
            engine.AsIChatClient().AsBuilder().UseKernelFunctionInvocation(provider.GetService<ILoggerFactory>()).Build(provider));
    }

    /// <summary>Registers an <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/>.</summary>
    /// <param name="services">Where to register.</param>
    /// <param name="engine">A loaded embedding model; whoever loaded it disposes it.</param>
    /// <param name="serviceId">The id of the service, or null.</param>
    public static IServiceCollection AddLocalLlmEmbeddingGenerator(this IServiceCollection services, EmbeddingEngine engine, string? serviceId = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(engine);
        return services.AddKeyedSingleton(serviceId, (_, _) => engine.AsIEmbeddingGenerator());
    }

    /// <summary>
    /// Registers chat and text services over an engine of <c>AddLocalLlm</c> or <c>AddKeyedLocalLlm</c>, under the engine's key. Also
    /// registers a <see cref="Kernel"/>, as <c>services.AddKernel()</c> does, if there is none yet. Steps of <c>ConfigureChatClient</c>
    /// apply to the <see cref="IChatClient"/> but not to these services: a kernel calls functions, filters and logs itself.
    /// </summary>
    public static ILocalLlmBuilder AddSemanticKernel(this ILocalLlmBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        var key = builder.ServiceKey;
        builder.Services.AddKeyedSingleton<IChatCompletionService>(key, (provider, _) =>
            new LocalLlmChatCompletionService(HostOf(provider, key).AsIChatClient(), provider));
        builder.Services.AddKeyedSingleton<ITextGenerationService>(key, (provider, _) =>
        {
            var host = HostOf(provider, key);
            return new LocalLlmTextGenerationService(host.GetAsync, host.ModelId);
        });
        if (!builder.Services.Any(service => service.ServiceType == typeof(Kernel)))
            builder.Services.AddKernel();
        return builder;
    }

    private static IModelHost<LlmEngine> HostOf(IServiceProvider provider, object? key) =>
        key is null ? provider.GetRequiredService<IModelHost<LlmEngine>>() : provider.GetRequiredKeyedService<IModelHost<LlmEngine>>(key);
}
