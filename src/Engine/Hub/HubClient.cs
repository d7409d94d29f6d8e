using System.Net;
using System.Net.Http.Headers;

namespace LocalLlm.Hub;

/// <summary>
/// HTTP to a hub and to the hosts that it redirects to. It follows redirects itself, because only the hub's own origin may get the token.
/// Proxies come from the environment.
/// </summary>
internal sealed class HubClient : IDisposable
{
    private const int MaxRedirects = 10;

    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);

    private readonly HttpClient _http;
    private readonly HubOptions _options;

    /// <summary>Checks the endpoint and the token.</summary>
    /// <param name="options">The hub.</param>
    /// <param name="meter">Counts and limits the bytes read from responses; null: no limit.</param>
    /// <exception cref="EngineException">InvalidOptions: the endpoint or the token cannot be used.</exception>
    public HubClient(HubOptions options, ByteMeter? meter = null)
    {
        _options = options;
        Endpoint = Uri.TryCreate(options.Endpoint, UriKind.Absolute, out var endpoint) && IsHttp(endpoint) && endpoint.UserInfo.Length == 0 && endpoint.Query.Length == 0
            ? new Uri(endpoint.AbsoluteUri.TrimEnd('/') + "/")
            : throw new EngineException(EngineErrorKind.InvalidOptions, "the hub's endpoint is no http or https address without credentials; write it as https://huggingface.co.", "endpoint");
        if (options.Token is { } token && (token.Length == 0 || token.Any(c => c is <= ' ' or > '~' or ';' or ',')))
            throw new EngineException(EngineErrorKind.InvalidOptions, "the access token holds characters that no token has; copy it again from the hub's settings.", "token");
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            ConnectTimeout = ConnectTimeout,
            PooledConnectionLifetime = TimeSpan.FromMinutes(10),
        };
        // Do not drain an unread body in order to keep its connection.
        if (meter is not null)
            handler.MaxResponseDrainSize = 0;
        _http = new(meter is null ? handler : new MeteredHandler(handler, meter))
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
    }

    /// <summary>The hub's address, with a slash at its end.</summary>
    public Uri Endpoint { get; }

    /// <summary>Sends a request and follows redirects. Returns a response of any other status, its body unread.</summary>
    /// <param name="method">GET or HEAD.</param>
    /// <param name="address">The first address.</param>
    /// <param name="range">The wanted bytes, or null.</param>
    /// <param name="ifRange">The strong etag for which <paramref name="range"/> is valid, or null.</param>
    /// <param name="leaveHub">Whether to follow redirects to another origin; false: such a redirect is returned.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="HubFault">No connection, or no response in time.</exception>
    /// <exception cref="EngineException">Environment: a redirect that must not be followed.</exception>
    public async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, Uri address, RangeHeaderValue? range, EntityTagHeaderValue? ifRange, bool leaveHub, CancellationToken cancellationToken)
    {
        for (var redirects = 0; ; redirects++)
        {
            var response = await SendOnceAsync(method, address, range, ifRange, cancellationToken).ConfigureAwait(false);
            if (response.StatusCode is not (HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect))
                return response;
            var target = TargetOf(response, address);
            if (!leaveHub && target is not null && !IsHub(target))
                return response;
            response.Dispose();
            if (target is null || !IsHttp(target) || (address.Scheme == Uri.UriSchemeHttps && target.Scheme != Uri.UriSchemeHttps))
                throw Refused(address, "redirects to something that is no http or https address, or from https to http");
            if (redirects == MaxRedirects)
                throw Refused(address, $"redirects more than {MaxRedirects} times");
            address = target;
        }
    }

    /// <summary>Whether an address has the hub's own scheme, host and port.</summary>
    public bool IsHub(Uri address) =>
        Uri.Compare(address, Endpoint, UriComponents.SchemeAndServer, UriFormat.Unescaped, StringComparison.OrdinalIgnoreCase) == 0;

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private async Task<HttpResponseMessage> SendOnceAsync(HttpMethod method, Uri address, RangeHeaderValue? range, EntityTagHeaderValue? ifRange, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, address);
        request.Headers.UserAgent.ParseAdd("localllm/0.1");
        // Sizes and ranges must be those of the file itself.
        request.Headers.AcceptEncoding.ParseAdd("identity");
        request.Headers.Range = range;
        if (ifRange is not null)
            request.Headers.IfRange = new(ifRange);
        if (_options.Token is { } token && IsHub(address))
        {
            request.Headers.Authorization = new("Bearer", token);
            if (_options.Hub == HubKind.ModelScope)
                request.Headers.TryAddWithoutValidation("Cookie", "m_session_id=" + token);
        }

        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(HubBody.IdleTimeout);
        try
        {
            return await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HubFault($"{Shown(address)} did not respond in time; check the network, the proxy and the endpoint.");
        }
        catch (HttpRequestException failure)
        {
            throw new HubFault($"{Shown(address)} cannot be reached ({failure.Message}); check the network, the proxy and the endpoint.", failure);
        }
    }

    // On Unix, "/x" alone would be read as a local path.
    private static Uri? TargetOf(HttpResponseMessage response, Uri from) =>
        response.Headers.NonValidated.TryGetValues("Location", out var values) && Uri.TryCreate(from, values.ToString(), out var target) ? target : null;

    private static bool IsHttp(Uri address) => address.Scheme == Uri.UriSchemeHttps || address.Scheme == Uri.UriSchemeHttp;

    private static EngineException Refused(Uri address, string why) =>
        new(EngineErrorKind.Environment, $"{Shown(address)} {why}; it was not followed.");

    /// <summary>An address for a message: without credentials and without the query, which may be a signature.</summary>
    public static string Shown(Uri address) => SafeNames.Quote(address.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped));
}
