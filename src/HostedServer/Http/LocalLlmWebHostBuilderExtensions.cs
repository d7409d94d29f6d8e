using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace Microsoft.AspNetCore.Hosting;

/// <summary>Configures Kestrel for a process that serves nothing else.</summary>
public static class LocalLlmWebHostBuilderExtensions
{
    private static readonly TimeSpan HeadersTimeout = TimeSpan.FromSeconds(15);

    /// <summary>
    /// Configures Kestrel for many long streams. Headers must arrive within 15 seconds. The server's own limit on bodies
    /// (<see cref="LocalLlm.Server.LocalLlmServerOptions.MaxRequestBodyBytes"/>) replaces Kestrel's. The thread that produces an event also
    /// writes it. Connections that remain after the drain are closed. Call it before adding addresses.
    /// </summary>
    /// <param name="builder">The host. <c>AddLocalLlmServer</c> must be called on its services.</param>
    public static IWebHostBuilder ConfigureLocalLlmKestrel(this IWebHostBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        // Safe because nothing long runs on the socket threads: JsonBody yields to the thread pool.
        builder.ConfigureServices(services => services.Configure<SocketTransportOptions>(sockets => sockets.UnsafePreferInlineScheduling = true));
        return builder.ConfigureKestrel((_, kestrel) =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.RequestHeadersTimeout = HeadersTimeout;
            // Kestrel's limit would close the connection before the client has read the error.
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
