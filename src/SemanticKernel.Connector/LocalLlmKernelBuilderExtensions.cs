using LocalLlm;
using Microsoft.Extensions.DependencyInjection;

namespace Microsoft.SemanticKernel;

/// <summary>Registers an engine with a kernel. The caller keeps owning the engine: the kernel does not dispose it.</summary>
public static class LocalLlmKernelBuilderExtensions
{
    /// <inheritdoc cref="LocalLlmKernelServiceCollectionExtensions.AddLocalLlmChatCompletion(IServiceCollection, LlmEngine, string?)"/>
    /// <param name="builder">The kernel's builder.</param>
    /// <param name="engine">The engine.</param>
    /// <param name="serviceId">The service's key, or null.</param>
    public static IKernelBuilder AddLocalLlmChatCompletion(this IKernelBuilder builder, LlmEngine engine, string? serviceId = null) =>
        With(builder, services => services.AddLocalLlmChatCompletion(engine, serviceId));

    /// <inheritdoc cref="LocalLlmKernelServiceCollectionExtensions.AddLocalLlmTextGeneration(IServiceCollection, LlmEngine, string?)"/>
    /// <inheritdoc cref="AddLocalLlmChatCompletion(IKernelBuilder, LlmEngine, string?)" path="/param"/>
    public static IKernelBuilder AddLocalLlmTextGeneration(this IKernelBuilder builder, LlmEngine engine, string? serviceId = null) =>
        With(builder, services => services.AddLocalLlmTextGeneration(engine, serviceId));

    /// <inheritdoc cref="LocalLlmKernelServiceCollectionExtensions.AddLocalLlmChatClient(IServiceCollection, LlmEngine, string?)"/>
    /// <inheritdoc cref="AddLocalLlmChatCompletion(IKernelBuilder, LlmEngine, string?)" path="/param"/>
    public static IKernelBuilder AddLocalLlmChatClient(this IKernelBuilder builder, LlmEngine engine, string? serviceId = null) =>
        With(builder, services => services.AddLocalLlmChatClient(engine, serviceId));

    /// <inheritdoc cref="LocalLlmKernelServiceCollectionExtensions.AddLocalLlmEmbeddingGenerator(IServiceCollection, EmbeddingEngine, string?)"/>
    /// <param name="builder">The kernel that is being built.</param>
    /// <param name="engine">A loaded embedding model; whoever loaded it disposes it.</param>
    /// <param name="serviceId">The id of the service, or null.</param>
    public static IKernelBuilder AddLocalLlmEmbeddingGenerator(this IKernelBuilder builder, EmbeddingEngine engine, string? serviceId = null) =>
        With(builder, services => services.AddLocalLlmEmbeddingGenerator(engine, serviceId));

    private static IKernelBuilder With(IKernelBuilder builder, Action<IServiceCollection> add)
    {
        ArgumentNullException.ThrowIfNull(builder);
        add(builder.Services);
        return builder;
    }
}
