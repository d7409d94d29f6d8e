using LocalLlm.Server.Tests.Serving;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Server.Tests.Http;

/// <summary>Every route that the server maps, with every kind of missing or wrong key.</summary>
public sealed class AuthMatrixTests(AuthMatrixTests.Guarded guarded) : IClassFixture<AuthMatrixTests.Guarded>
{
    private const string Key = "sk-Secret-1";

    private static readonly string[] Headers =
    [
        "", "Authorization: Bearer wrong", "Authorization: Bearer sk-Secret-", "Authorization: Bearer sk-Secret-11", "Authorization: Bearer sk-secret-1", "Authorization: Bearer", "Authorization: sk-Secret-1",
        "Authorization: Bearer sk-Secret-1\r\nAuthorization: Bearer sk-Secret-1", "Authorization: Token sk-Secret-1", "X-Api-Key: sk-Secret-1", "Authorization: Basic OnNrLVNlY3JldC0x\r\nOrigin: http://evil.example", "Authorization: Basic OnNrLVdyb25n", "Authorization: Basic \u0000\u0000",
        "Authorization: Basic OnNrLVNlY3JldC0x\r\nSec-Fetch-Site: cross-site", "Cookie: key=sk-Secret-1", "Authorization: Bearer sk-Secret-1,sk-Secret-1",
    ];

    [Fact]
    public async Task Without_the_key_no_route_is_answered_but_health_and_ready()
    {
        var routes = guarded.Server.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>().ToArray();
        Assert.True(routes.Length >= 12);
        foreach (var route in routes)
        {
            var path = "/" + route.RoutePattern.RawText!.Replace("{**id}", "tiny-r1", StringComparison.Ordinal).TrimStart('/');
            var methods = route.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods;
            var isOpen = path is "/health" or "/ready";
            foreach (var form in (string[])[path, path + "/", path + "?api_key=" + Key, "/" + path, path.ToUpperInvariant(), path.Replace("/", "%2f", StringComparison.Ordinal), path + "/..;/", "/health/.." + path, "/health?" + path, path + "%00"])
            {
                foreach (var header in Headers)
                    await AssertRefusedAsync(methods[0], form, header, isOpen);
            }

            foreach (var host in (string[])["x/health?", "localhost/health", "a\tb", "127.0.0.1:80/ready#"])
                await AssertRefusedAsync(methods[0], path, "", isOpen, host);
        }
    }

    [Fact]
    public async Task With_the_key_every_route_is_answered()
    {
        foreach (var path in (string[])["/v1/models", "/v1/models/tiny-r1", "/metrics", "/version", "/engine", "/"])
            Assert.StartsWith("HTTP/1.1 200", await SendAsync("GET", path, $"Authorization: bearer {Key}"), StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 200", await SendAsync("GET", "/v1/models", "Authorization: Bearer second"), StringComparison.Ordinal);
        foreach (var header in (string[])["", "\r\nSec-Fetch-Site: none", "\r\nSec-Fetch-Site: same-origin", "\r\nOrigin: http://localhost"])
            Assert.StartsWith("HTTP/1.1 200", await SendAsync("GET", "/", "Authorization: Basic OnNrLVNlY3JldC0x" + header), StringComparison.Ordinal);
        // A form of another site could send this body, too.
        Assert.StartsWith("HTTP/1.1 401", await SendAsync("POST", "/v1/completions", "Authorization: Basic OnNrLVNlY3JldC0x"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_refusal_is_of_the_shape_that_clients_read()
    {
        var answer = await SendAsync("POST", "/v1/chat/completions", "Content-Type: application/json");
        Assert.Contains("\"type\":\"authentication_error\"", answer, StringComparison.Ordinal);
        Assert.Contains("\"code\":\"invalid_api_key\"", answer, StringComparison.Ordinal);
        Assert.Contains("WWW-Authenticate: Bearer", answer, StringComparison.Ordinal);
        Assert.DoesNotContain(Key, answer, StringComparison.Ordinal);
    }

    private async Task AssertRefusedAsync(string method, string path, string header, bool isOpen, string host = "localhost")
    {
        var status = (await SendAsync(method, path, header, host)).Split(' ') is [_, var code, ..] ? code : "none";
        string[] allowed = isOpen ? ["200", "400", "401", "404", "405"] : ["400", "401", "404", "405"];
        // An open route stays open when the path has a query.
        if (path.StartsWith("/health?", StringComparison.Ordinal))
            allowed = ["200", "400", "401", "404", "405"];
        Assert.True(allowed.Contains(status), $"{method} {path} [{header}] Host: {host} was answered {status}");
    }

    private Task<string> SendAsync(string method, string path, string header, string host = "localhost") => guarded.Server.RawAsync(
        System.Text.Encoding.Latin1.GetBytes($"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n{(header.Length > 0 ? header + "\r\n" : "")}\r\n"));

    public sealed class Guarded : IAsyncLifetime
    {
        internal TestServer Server { get; } = new(options =>
        {
            options.ApiKeys.Add(Key);
            options.ApiKeys.Add("second");
        });

        public ValueTask InitializeAsync() => Server.InitializeAsync();

        public ValueTask DisposeAsync() => Server.DisposeAsync();
    }
}
