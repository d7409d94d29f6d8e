using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using LocalLlm.Extensions.AI;
using LocalLlm.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace LocalLlm.Server.Tests.Serving;

/// <summary>The real server with the real tiny model: an application in this process that listens on a free port.</summary>
public sealed class TestServer : IAsyncLifetime, IAsyncDisposable
{
    private readonly Action<LocalLlmServerOptions> _configure;
    private readonly Func<EngineOptions, EngineOptions> _engine;
    private readonly bool _hasPage;
    private readonly string? _embeddingModel;
    private readonly bool _isEncoder;
    private WebApplication? _app;

    public TestServer()
        : this(null)
    {
    }

    internal TestServer(Action<LocalLlmServerOptions>? configure, Func<EngineOptions, EngineOptions>? engine = null, bool hasPage = true, string? embeddingModel = null, bool isEncoder = false)
    {
        _isEncoder = isEncoder;
        _embeddingModel = embeddingModel;
        _configure = configure ?? (_ => { });
        _engine = engine ?? (options => options);
        _hasPage = hasPage;
    }

    public HttpClient Client { get; private set; } = null!;

    public Uri Address => Client.BaseAddress!;

    internal IServiceProvider Services => _app!.Services;

    internal WebApplication App => _app!;

    internal LlmEngine Engine => Services.GetRequiredService<IModelHost<LlmEngine>>().Loaded!;

    internal EmbeddingEngine Embedder => Services.GetRequiredService<IModelHost<EmbeddingEngine>>().Loaded!;

    public async ValueTask InitializeAsync()
    {
        var engine = _engine(_isEncoder ? new() { ModelPath = TestPaths.TinyM3, Device = "cpu" } : new() { ModelPath = TestPaths.TinyR1, Device = "cpu", Dtype = "float32", NumGpuBlocksOverride = 2048 });
        _app = Create(engine);
        await _app.StartAsync();
        // Not a test's time limit: it must not end a request early where a connection is meant to hang.
        Client = new(new SocketsHttpHandler { AllowAutoRedirect = false }) { BaseAddress = new(_app.Urls.First()), Timeout = TimeSpan.FromMinutes(2) };
        if (!_isEncoder)
            await Services.GetRequiredService<IModelHost<LlmEngine>>().GetAsync(CancellationToken.None);
        if (_isEncoder || _embeddingModel is not null)
            await Services.GetRequiredService<IModelHost<EmbeddingEngine>>().GetAsync(CancellationToken.None);
    }

    private WebApplication Create(EngineOptions engine)
    {
        var builder = WebApplication.CreateSlimBuilder();
        // As in the program, a client's mistake is no warning.
        builder.Logging.ClearProviders().AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.Critical);
        if (!_isEncoder)
            builder.Services.AddLocalLlm(options => (options.ModelPath, options.ConfigureEngine) = (engine.ModelPath, _ => engine));
        if (_isEncoder)
            builder.Services.AddLocalLlmEmbeddings(options => options.ConfigureEngine = _ => engine);
        else if (_embeddingModel is not null)
        {
            builder.Services.AddLocalLlmEmbeddings(options =>
            {
                (options.ModelPath, options.Device) = (_embeddingModel, engine.Device);
                options.ConfigureEngine = own => own with { DecorateEncoder = engine.DecorateEncoder };
            });
        }

        builder.Services.AddLocalLlmServer(_configure);
        builder.Services.AddCors(cors => cors.AddDefaultPolicy(policy => policy.AllowAnyOrigin().AllowAnyMethod().AllowAnyHeader()));
        builder.WebHost.ConfigureLocalLlmKestrel().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var app = builder.Build();
        app.UseLocalLlmErrors();
        app.UseRouting();
        app.UseCors();
        app.MapLocalLlmOpenAI();
        app.MapLocalLlmOperations();
        // The page needs the chat routes.
        if (_hasPage && !_isEncoder)
            app.MapLocalLlmPage();
        return app;
    }

    public async ValueTask DisposeAsync()
    {
        Client?.Dispose();
        if (_app is not null)
            await _app.DisposeAsync();
    }

    internal Task<HttpResponseMessage> PostAsync(string path, string json, string contentType = "application/json", CancellationToken cancellationToken = default)
    {
        var content = new ByteArrayContent(Encoding.UTF8.GetBytes(json));
        content.Headers.TryAddWithoutValidation("Content-Type", contentType);
        return Client.PostAsync(new Uri(path, UriKind.Relative), content, cancellationToken);
    }

    /// <summary>Sends a body and reads the response, whose status must be OK.</summary>
    internal async Task<JsonElement> AskAsync(string path, string json)
    {
        using var response = await PostAsync(path, json);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    /// <summary>The events of a streamed response without <c>[DONE]</c>, which must be the last.</summary>
    internal async Task<List<JsonElement>> StreamAsync(string path, string json)
    {
        using var response = await PostAsync(path, json);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.StatusCode == HttpStatusCode.OK, text);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        var events = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(line => line["data: ".Length..]).ToArray();
        Assert.Equal("[DONE]", events[^1]);
        return [.. events[..^1].Select(data => JsonDocument.Parse(data).RootElement)];
    }

    /// <summary>Sends raw bytes and reads until the response is complete or the server closes the connection.</summary>
    internal async Task<string> RawAsync(byte[] request, bool closesWrite = false)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, Address.Port);
        var network = client.GetStream();
        try
        {
            await network.WriteAsync(request);
        }
        catch (IOException)
        {
            // The server may refuse the request before it has read all of it.
        }

        if (closesWrite)
            client.Client.Shutdown(SocketShutdown.Send);
        using var text = new MemoryStream();
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        try
        {
            var buffer = new byte[4096];
            int read;
            while ((read = await network.ReadAsync(buffer, timeout.Token)) > 0)
            {
                text.Write(buffer, 0, read);
                if (IsWhole(Encoding.UTF8.GetString(text.ToArray())))
                    break;
            }
        }
        catch (IOException)
        {
            // The server reset the connection: return what was read so far.
        }

        return Encoding.UTF8.GetString(text.ToArray());
    }

    private static bool IsWhole(string text)
    {
        var end = text.IndexOf("\r\n\r\n", StringComparison.Ordinal);
        if (end < 0)
            return false;
        var header = text.Split("\r\n").FirstOrDefault(line => line.StartsWith("Content-Length: ", StringComparison.OrdinalIgnoreCase));
        return header is not null && Encoding.UTF8.GetByteCount(text[(end + 4)..]) >= int.Parse(header["Content-Length: ".Length..], System.Globalization.CultureInfo.InvariantCulture);
    }
}
