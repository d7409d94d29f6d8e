using LocalLlm;
using LocalLlm.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.SemanticKernel.ChatCompletion;

namespace Microsoft.SemanticKernel;

/// <summary>Registers an engine with Semantic Kernel.</summary>
public static class LocalLlmKernelBuilderExtensions
{
    /// <summary>Registers an <see cref="IChatCompletionService"/> over an engine that the caller has loaded and keeps alive.</summary>
    /// <param name="builder">The kernel's builder.</param>
    /// <param name="engine">The engine; the kernel does not dispose it.</param>
    /// <param name="serviceId">The service's key, or null.</param>
    /// <returns><paramref name="builder"/>.</returns>
    public static IKernelBuilder AddLocalLlmChatCompletion(this IKernelBuilder builder, LlmEngine engine, string? serviceId = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(engine);
        builder.Services.AddKeyedSingleton<IChatCompletionService>(serviceId, (services, _) => engine.AsIChatClient().AsChatCompletionService(services));
        return builder;
    }
}
