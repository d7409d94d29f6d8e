using LocalLlm.Cluster;
using LocalLlm.Extensions.AI;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers the control stream between nodes.</summary>
public static class ClusterServiceCollectionExtensions
{
    /// <summary>
    /// Lets every engine of the container have several nodes (<see cref="LocalLlmOptions.Nodes"/>), which communicate over gRPC.
    /// </summary>
    /// <param name="services">Where to register.</param>
    /// <param name="configure">The token and the certificates of the nodes.</param>
    public static IServiceCollection AddLocalLlmCluster(this IServiceCollection services, Func<GrpcNodeOptions, GrpcNodeOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        var trust = configure?.Invoke(new()) ?? new();
        return services.PostConfigureAll<LocalLlmOptions>(options =>
            options.NodeTransport ??= engine => new GrpcNodeTransport(engine.MasterAddress, engine.MasterPort, trust));
    }
}
