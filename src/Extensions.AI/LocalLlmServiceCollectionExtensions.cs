using LocalLlm.Extensions.AI;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers the in-process engine.</summary>
public static class LocalLlmServiceCollectionExtensions
{
    /// <summary>
    /// Registers one engine and an <see cref="IChatClient"/> over it. A host loads the model when it starts and fails there if it cannot;
    /// without a host it is loaded by the first request. The container owns the engine.
    /// </summary>
    /// <param name="services">Where to register.</param>
    /// <param name="configure">Names at least <see cref="LocalLlmOptions.ModelPath"/>.</param>
    /// <returns><paramref name="services"/>.</returns>
    public static IServiceCollection AddLocalLlm(this IServiceCollection services, Action<LocalLlmOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        services.AddOptions<LocalLlmOptions>().Configure(configure);
        services.AddSingleton(provider => new EngineHost(provider.GetRequiredService<IOptions<LocalLlmOptions>>().Value, provider.GetService<ILoggerFactory>()));
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<EngineHost>());
        services.AddSingleton<IChatClient>(provider =>
        {
            var host = provider.GetRequiredService<EngineHost>();
            return new LocalLlmChatClient(host.GetAsync, () => host.Loaded, host.ModelId);
        });
        return services;
    }
}
