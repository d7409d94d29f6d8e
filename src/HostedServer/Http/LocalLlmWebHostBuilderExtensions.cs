using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace Microsoft.AspNetCore.Hosting;

/// <summary>What the server wants of Kestrel where nothing else is served by the process.</summary>
public static class LocalLlmWebHostBuilderExtensions
{
    private static readonly TimeSpan HeadersTimeout = TimeSpan.FromSeconds(15);

    /// <summary>
    /// Sets Kestrel up for many long streams: headers arrive within 15 seconds, bodies have the server's own limit
    /// (<see cref="LocalLlm.Server.LocalLlmServerOptions.MaxRequestBodyBytes"/>) instead of Kestrel's, events are written by the thread
    /// that makes them, and connections that are left after the drain are ended. Call it before addresses are added.
    /// </summary>
    /// <param name="builder">The host, whose services have the server of <c>AddLocalLlmServer</c>.</param>
    public static IWebHostBuilder ConfigureLocalLlmKestrel(this IWebHostBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        // Nothing long runs on the sockets' own threads: JsonBody leaves them.
        builder.ConfigureServices(services => services.Configure<SocketTransportOptions>(sockets => sockets.UnsafePreferInlineScheduling = true));
        return builder.ConfigureKestrel((_, kestrel) =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.RequestHeadersTimeout = HeadersTimeout;
            // Kestrel's limit would cut the connection before a client has read what is wrong.
            kestrel.Limits.MaxRequestBodySize = null;
            var disconnected = kestrel.ApplicationServices.GetRequiredService<Admission>().Disconnected;
            kestrel.ConfigureEndpointDefaults(listen => EndWith(listen, disconnected));
        });
    }

    private static void EndWith(ListenOptions listen, CancellationToken disconnected) => listen.Use(next => async connection =>
    {
        await using var ending = disconnected.Register(connection.Abort);
        await next(connection);
    });
}
