using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Grpc.Core;
using Grpc.Net.Client;
using LocalLlm.Cluster.Wire;

namespace LocalLlm.Cluster;

/// <summary>
/// The control stream over gRPC: one HTTP/2 stream per node, with a shared token, optional mutual TLS, and pings that detect dead
/// connections. Node 0 listens on its master address only.
/// </summary>
public sealed class GrpcNodeTransport : INodeTransport
{
    private const int WindowBytes = 16 << 20;
    private const int MaxMessageBytes = 64 << 20;
    private static readonly TimeSpan ConnectTime = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan PingDelay = TimeSpan.FromSeconds(1);

    private readonly string _host;
    private readonly int _port;
    private readonly GrpcNodeOptions _options;
    private ControlStreamServer? _server;
    private GrpcChannel? _channel;

    /// <summary>Prepares a transport; opens no connection.</summary>
    /// <param name="host">Name or address of node 0.</param>
    /// <param name="port">The port of node 0.</param>
    /// <param name="options">How the nodes authenticate each other.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: a required token is missing, or a certificate has no authorities.</exception>
    public GrpcNodeTransport(string host, int port, GrpcNodeOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(host);
        (_host, _port, _options) = (host, port, options ?? new());
        if (string.IsNullOrEmpty(_options.Token) && !IsLoopback(host))
            throw new EngineException(EngineErrorKind.InvalidOptions, $"cluster_token is not set, and node 0 listens on {host}, which others reach: give all nodes the same secret with --cluster-token-file (or --cluster-token).", "cluster_token");
        if ((_options.Certificate is null) != (_options.Authorities is null))
            throw new EngineException(EngineErrorKind.InvalidOptions, "A certificate and those who sign the other nodes' certificates belong together: give both, or neither.", "cluster_certificate");
    }

    /// <summary>The port that node 0 listens on. If the given port is 0, it is known once node 0 listens.</summary>
    public int Port => _server?.Port ?? _port;

    /// <inheritdoc/>
    public async Task ListenAsync(CancellationToken cancellationToken)
    {
        var address = await AddressAsync(cancellationToken).ConfigureAwait(false);
        _server = new(address, _port, _options, WindowBytes, MaxMessageBytes);
        try
        {
            await _server.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (IOException failure)
        {
            await _server.DisposeAsync().ConfigureAwait(false);
            _server = null;
            // The name's DNS record may still be that of an older host.
            var isElsewhere = failure.GetBaseException() is SocketException { SocketErrorCode: SocketError.AddressNotAvailable };
            if (isElsewhere && !IPAddress.TryParse(_host, out _))
                throw new IOException($"master_addr: '{_host}' is {address}, which is no address of this host; name this host.", failure);
            throw new EngineException(EngineErrorKind.InvalidOptions, $"master_addr and master_port: node 0 cannot listen on {_host}:{_port}: {failure.Message} Choose another port, or the address of this host.", "master_port", failure);
        }
    }

    /// <inheritdoc/>
    public ValueTask<INodeChannel> AcceptAsync(CancellationToken cancellationToken) =>
        (_server ?? throw new InvalidOperationException("The transport does not listen.")).AcceptAsync(cancellationToken);

    /// <inheritdoc/>
    public async ValueTask<INodeChannel> ConnectAsync(CancellationToken cancellationToken)
    {
        _channel ??= CreateChannel();
        var peer = string.Create(CultureInfo.InvariantCulture, $"{_host}:{_port}");
        var headers = new Metadata();
        if (_options.Token is { } token)
            headers.Add(ClusterToken.Header, ClusterToken.HeaderOf(token));
        var call = new ControlStream.ControlStreamClient(_channel).Connect(headers, cancellationToken: CancellationToken.None);
        try
        {
            var answer = await call.ResponseHeadersAsync.WaitAsync(ConnectTime, cancellationToken).ConfigureAwait(false);
            // A refusal lacks this header; reading a message then throws it.
            if (answer.GetValue(ControlStreamService.AcceptedHeader) is null)
                await call.ResponseStream.MoveNext(cancellationToken).WaitAsync(ConnectTime, cancellationToken).ConfigureAwait(false);
            return new GrpcNodeChannel(peer, call.ResponseStream, call.RequestStream, () => EndAsync(call));
        }
        catch (Exception failure)
        {
            call.Dispose();
            throw failure switch
            {
                RpcException { StatusCode: StatusCode.Unauthenticated } => new EngineException(EngineErrorKind.InvalidOptions, $"Node 0 ({peer}) refuses this node's token: give all nodes the same --cluster-token.", "cluster_token"),
                RpcException refused => new IOException($"{peer} cannot be reached ({Innermost(refused)}).", refused),
                TimeoutException late => new IOException($"{peer} does not answer.", late),
                _ => failure,
            };
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
            await _server.DisposeAsync().ConfigureAwait(false);
        _channel?.Dispose();
    }

    private static string Innermost(RpcException failure) => (failure.Status.DebugException?.GetBaseException().Message ?? failure.Status.Detail).TrimEnd('.');

    private static async ValueTask EndAsync(AsyncDuplexStreamingCall<Frame, Frame> call)
    {
        try
        {
            await call.RequestStream.CompleteAsync().WaitAsync(TimeSpan.FromMilliseconds(500)).ConfigureAwait(false);
        }
        catch (Exception)
        {
            // The stream has already ended.
        }

        call.Dispose();
    }

    private static bool IsLoopback(string host) => host == "localhost" || (IPAddress.TryParse(host, out var address) && IPAddress.IsLoopback(address));

    private async Task<IPAddress> AddressAsync(CancellationToken cancellationToken)
    {
        try
        {
            return IPAddress.TryParse(_host, out var address) ? address : (await Dns.GetHostAddressesAsync(_host, cancellationToken).ConfigureAwait(false))[0];
        }
        catch (SocketException failure)
        {
            throw new IOException($"master_addr: '{_host}' has no address ({failure.Message}); name this host.", failure);
        }
    }

    private GrpcChannel CreateChannel()
    {
        var handler = new SocketsHttpHandler
        {
            ConnectTimeout = ConnectTime,
            InitialHttp2StreamWindowSize = WindowBytes,
            KeepAlivePingDelay = PingDelay,
            KeepAlivePingTimeout = PingDelay,
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.Always,
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            UseProxy = false,
        };
        if (_options is { Certificate: { } certificate, Authorities: { } authorities })
        {
            handler.SslOptions = new SslClientAuthenticationOptions
            {
                ClientCertificates = [certificate],
                RemoteCertificateValidationCallback = (_, shown, _, errors) =>
                    shown is not null && NodeCertificates.IsSignedBy((X509Certificate2)shown, authorities) && (errors & SslPolicyErrors.RemoteCertificateNameMismatch) == 0,
            };
        }

        var scheme = _options.Certificate is null ? "http" : "https";
        var host = _host.Contains(':', StringComparison.Ordinal) ? $"[{_host}]" : _host;
        return GrpcChannel.ForAddress(string.Create(CultureInfo.InvariantCulture, $"{scheme}://{host}:{_port}"), new()
        {
            HttpHandler = handler,
            DisposeHttpClient = true,
            MaxReceiveMessageSize = MaxMessageBytes,
            MaxSendMessageSize = MaxMessageBytes,
            ThrowOperationCanceledOnCancellation = true,
            MaxRetryAttempts = 1,
        });
    }
}
