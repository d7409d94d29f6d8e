using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Cluster;

/// <summary>Node 0's server of the control stream: a web application of its own that listens on one address only.</summary>
internal sealed class ControlStreamServer : IAsyncDisposable
{
    private static readonly TimeSpan PingDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StoppingTime = TimeSpan.FromSeconds(1);

    private readonly WebApplication _app;
    private readonly Channel<INodeChannel> _accepted = Channel.CreateUnbounded<INodeChannel>();

    /// <param name="address">The address to listen on.</param>
    /// <param name="port">The port; 0: a free one.</param>
    /// <param name="options">The token and the certificates of the nodes.</param>
    /// <param name="windowBytes">HTTP/2 flow-control window in bytes.</param>
    /// <param name="maxMessageBytes">Maximum length of a message in bytes.</param>
    public ControlStreamServer(IPAddress address, int port, GrpcNodeOptions options, int windowBytes, int maxMessageBytes)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = typeof(ControlStreamServer).Assembly.GetName().Name });
        // The engine logs this server's errors itself.
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.Http2.InitialStreamWindowSize = windowBytes;
            kestrel.Limits.Http2.InitialConnectionWindowSize = windowBytes;
            kestrel.Limits.Http2.KeepAlivePingDelay = PingDelay;
            kestrel.Limits.Http2.KeepAlivePingTimeout = PingDelay;
            kestrel.Listen(address, port, listen => Secure(listen, options));
        });
        builder.Services.AddGrpc(grpc =>
        {
            grpc.MaxReceiveMessageSize = maxMessageBytes;
            grpc.MaxSendMessageSize = maxMessageBytes;
        });
        builder.Services.AddSingleton(new ControlStreamService(options, _accepted));
        _app = builder.Build();
        _app.MapGrpcService<ControlStreamService>();
    }

    /// <summary>The port that the server listens on.</summary>
    public int Port => new Uri(_app.Urls.First()).Port;

    /// <summary>Starts to listen.</summary>
    /// <exception cref="IOException">The address is in use, or does not belong to this host.</exception>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _app.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is not OperationCanceledException and not IOException)
        {
            throw new IOException(failure.Message, failure);
        }
    }

    /// <summary>Waits for the next stream.</summary>
    public ValueTask<INodeChannel> AcceptAsync(CancellationToken cancellationToken) => _accepted.Reader.ReadAsync(cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _accepted.Writer.TryComplete();
        while (_accepted.Reader.TryRead(out var channel))
            await channel.DisposeAsync().ConfigureAwait(false);
        using var patience = new CancellationTokenSource(StoppingTime);
        try
        {
            await _app.StopAsync(patience.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // Streams that are still open end with the server.
        }

        await _app.DisposeAsync().ConfigureAwait(false);
    }

    private static void Secure(ListenOptions listen, GrpcNodeOptions options)
    {
        listen.Protocols = HttpProtocols.Http2;
        if (options is not { Certificate: { } certificate, Authorities: { } authorities })
            return;
        listen.UseHttps(https =>
        {
            https.ServerCertificate = certificate;
            https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
            https.ClientCertificateValidation = (shown, _, _) => NodeCertificates.IsSignedBy(shown, authorities);
        });
    }
}
