using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Samples.Rag.Web;

/// <summary>
/// Keeps pages of other sites out. The server has no access control, so the browser is the only guard. DNS rebinding would bypass it, by
/// making another site's name lead to this server; so only requests to the server's own names are answered. Questions that a page of
/// another site sends are refused.
/// </summary>
internal static class SiteGuard
{
    /// <param name="app">The pipeline, before its routes.</param>
    /// <param name="address">Where the server listens.</param>
    public static void UseSiteGuard(this IApplicationBuilder app, IPAddress address) => app.Use(async (context, next) =>
    {
        var request = context.Request;
        if (!IsOwn(request.Host.Host, address))
            await RefuseAsync(context, StatusCodes.Status400BadRequest, $"the host is '{PlainLine.Of(request.Host.Value ?? "")}'; allowed: localhost, 127.0.0.1, [::1] and the address that --host names; ask under one of these");
        else if (HttpMethods.IsPost(request.Method) && request.Headers.Origin is { Count: > 0 } origin && !IsSame(origin.ToString(), request.Host))
            await RefuseAsync(context, StatusCodes.Status403Forbidden, $"the question comes from a page of '{PlainLine.Of(origin.ToString())}'; allowed: this server's own page; open http://{request.Host.Value}/");
        else
            await next(context);
    });

    public static async Task RefuseAsync(HttpContext context, int status, string error)
    {
        context.Response.StatusCode = status;
        await context.Response.WriteAsJsonAsync(new { error }, context.RequestAborted);
    }

    /// <summary>
    /// A server that listens on all addresses answers under any address: unlike a name, an address cannot be made to lead elsewhere.
    /// </summary>
    internal static bool IsOwn(string host, IPAddress address)
    {
        if (string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase))
            return true;
        if (!IPAddress.TryParse(host, out var asked))
            return false;
        return asked.Equals(IPAddress.Loopback) || asked.Equals(IPAddress.IPv6Loopback) || asked.Equals(address) || address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);
    }

    // By host and port alone: behind a proxy the scheme may differ.
    private static bool IsSame(string origin, HostString host) =>
        Uri.TryCreate(origin, UriKind.Absolute, out var site) && string.Equals(site.Authority, host.Value, StringComparison.OrdinalIgnoreCase);
}
