using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Cluster;

/// <summary>Node 0's server of the control stream: a web application of its own, on one address and nowhere else.</summary>
internal sealed class ControlStreamServer : IAsyncDisposable
{
    private static readonly TimeSpan PingDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StoppingTime = TimeSpan.FromSeconds(1);

    private readonly WebApplication _app;
    private readonly Channel<INodeChannel> _accepted = Channel.CreateUnbounded<INodeChannel>();

    /// <param name="address">Where it listens.</param>
    /// <param name="port">The port; 0: a free one.</param>
    /// <param name="options">How nodes trust one another.</param>
    /// <param name="windowBytes">Bytes that may be on their way.</param>
    /// <param name="maxMessageBytes">Max length of a message.</param>
    public ControlStreamServer(IPAddress address, int port, GrpcNodeOptions options, int windowBytes, int maxMessageBytes)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = typeof(ControlStreamServer).Assembly.GetName().Name });
        // What goes wrong here the engine says, in its own log.
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

    /// <summary>The port that it listens on.</summary>
    public int Port => new Uri(_app.Urls.First()).Port;

    /// <summary>Listens.</summary>
    /// <exception cref="IOException">The address is taken, or not this host's.</exception>
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

    /// <summary>The next stream.</summary>
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
            // Streams that do not end end with the server.
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
