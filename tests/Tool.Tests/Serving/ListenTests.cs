using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using LocalLlm.Tool.Serving;
using LocalLlm.Tests;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Xunit;

namespace LocalLlm.Tool.Tests.Serving;

/// <summary>Where the server listens, and which web sites may call it.</summary>
public sealed class ListenTests
{
    private static EngineOptions Engine => new() { ModelPath = TestPaths.TinyR1, Device = "cpu", NumGpuBlocksOverride = 256 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_unix_socket_replaces_the_port_and_a_stale_socket_file()
    {
        var folder = Directory.CreateTempSubdirectory("localllm");
        var socket = Path.Combine(folder.FullName, "s");
        // Bound, but not listening: a killed process leaves its socket in the same state.
        using var leftBehind = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        leftBehind.Bind(new UnixDomainSocketEndPoint(socket));
        Assert.True(File.Exists(socket));
        await using (var app = HttpServer.Create(Engine, new() { UnixSocket = socket }, _ => { }))
        {
            await app.StartAsync(Token);
            using var client = new HttpClient(new SocketsHttpHandler
            {
                ConnectCallback = async (_, cancellationToken) =>
                {
                    var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                    await connection.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancellationToken);
                    return new NetworkStream(connection, ownsSocket: true);
                },
            });
            using var answer = await client.GetAsync(new Uri("http://localhost/health"), Token);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }

        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task What_is_no_socket_or_another_process_listens_on_is_left_alone()
    {
        var folder = Directory.CreateTempSubdirectory("localllm");
        var file = Path.Combine(folder.FullName, "precious");
        await File.WriteAllTextAsync(file, "precious", Token);
        var run = await Cli.RunAsync("serve", TestPaths.TinyR1, "--uds", file);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("no socket", run.Error, StringComparison.Ordinal);
        Assert.Equal("precious", await File.ReadAllTextAsync(file, Token));
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        var socket = Path.Combine(folder.FullName, "s");
        other.Bind(new UnixDomainSocketEndPoint(socket));
        other.Listen();
        run = await Cli.RunAsync("serve", TestPaths.TinyR1, "--uds", socket);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("another process", run.Error, StringComparison.Ordinal);
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task With_a_certificate_it_speaks_tls_and_asks_for_that_of_the_client()
    {
        var folder = Directory.CreateTempSubdirectory("localllm");
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        var (certificateFile, keyFile) = (Path.Combine(folder.FullName, "cert.pem"), Path.Combine(folder.FullName, "key.pem"));
        await File.WriteAllTextAsync(certificateFile, certificate.ExportCertificatePem(), Token);
        await File.WriteAllTextAsync(keyFile, key.ExportPkcs8PrivateKeyPem(), Token);
        await using var app = HttpServer.Create(
            Engine,
            new() { Host = "127.0.0.1", CertificateFile = certificateFile, KeyFile = keyFile, AuthoritiesFile = certificateFile, ClientCertificates = ClientCertificateMode.RequireCertificate },
            _ => { });
        await app.StartAsync(Token);
        var address = new Uri(app.Urls.First());
        Assert.Equal("https", address.Scheme);

        using var handler = new HttpClientHandler { ServerCertificateCustomValidationCallback = (_, given, _, _) => given!.Thumbprint == certificate.Thumbprint };
        using var stranger = new HttpClient(handler);
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => stranger.GetAsync(new Uri(address, "/health"), Token));
        using var known = new HttpClientHandler { ServerCertificateCustomValidationCallback = (_, given, _, _) => given!.Thumbprint == certificate.Thumbprint };
        known.ClientCertificates.Add(X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null));
        using var client = new HttpClient(known);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync(new Uri(address, "/health"), Token)).StatusCode);
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_root_path_stands_before_every_route()
    {
        await using var app = HttpServer.Create(Engine, new() { Host = "127.0.0.1", RootPath = "/llm" }, _ => { });
        await app.StartAsync(Token);
        using var client = new HttpClient { BaseAddress = new(app.Urls.First()) };
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync(new Uri("/llm/health", UriKind.Relative), Token)).StatusCode);
    }

    [Theory]
    [InlineData("*", "https://a.example", true)]
    [InlineData("https://a.example", "https://a.example", true)]
    [InlineData("https://a.example", "https://b.example", false)]
    public async Task A_web_site_may_call_if_it_is_allowed_and_a_preflight_needs_no_key(string allowed, string origin, bool expected)
    {
        await using var app = HttpServer.Create(Engine, new() { Host = "127.0.0.1", AllowedOrigins = [allowed] }, options => options.ApiKeys.Add("k"));
        await app.StartAsync(Token);
        using var client = new HttpClient { BaseAddress = new(app.Urls.First()) };
        using var preflight = new HttpRequestMessage(HttpMethod.Options, new Uri("/v1/chat/completions", UriKind.Relative));
        preflight.Headers.Add("Origin", origin);
        preflight.Headers.Add("Access-Control-Request-Method", "POST");
        preflight.Headers.Add("Access-Control-Request-Headers", "authorization,content-type");
        using var answer = await client.SendAsync(preflight, Token);
        Assert.Equal(HttpStatusCode.NoContent, answer.StatusCode);
        Assert.Equal(expected, answer.Headers.Contains("Access-Control-Allow-Origin"));
        using var call = new HttpRequestMessage(HttpMethod.Get, new Uri("/v1/models", UriKind.Relative));
        call.Headers.Add("Origin", origin);
        Assert.Equal(HttpStatusCode.Unauthorized, (await client.SendAsync(call, Token)).StatusCode);
    }

    [Fact]
    public async Task The_page_can_be_left_out()
    {
        foreach (var hasPage in (bool[])[true, false])
        {
            await using var app = HttpServer.Create(Engine, new() { Host = "127.0.0.1", HasPage = hasPage }, _ => { });
            await app.StartAsync(Token);
            using var client = new HttpClient { BaseAddress = new(app.Urls.First()) };
            foreach (var route in (string[])["/", "/page/style.css", "/page/api.js"])
            {
                using var page = await client.GetAsync(new Uri(route, UriKind.Relative), Token);
                Assert.Equal(hasPage ? HttpStatusCode.OK : HttpStatusCode.NotFound, page.StatusCode);
            }
        }
    }
}
