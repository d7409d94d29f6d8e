using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Web;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Web;

/// <summary>The real server on a port of its own.</summary>
public sealed class AskEndpointTests(ShippedRag rag) : IAsyncLifetime
{
    private readonly HttpClient _client = new();
    private WebApplication _app = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _app = WebApp.Create(RagConfiguration.Build(new Dictionary<string, string?> { ["Rag:Store:Path"] = rag.StorePath, ["LocalLlm:WarmUp"] = "false" }), IPAddress.Loopback, 0, TextWriter.Null);
        await _app.StartAsync(Token);
        _client.BaseAddress = new(_app.Urls.Single());
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _app.DisposeAsync();
    }

    [Fact]
    public async Task The_page_its_status_answers_refusals_and_a_client_that_leaves()
    {
        // One server for all checks, because loading the models takes most of the time.
        await PageAsync();
        await StatusAsync();
        await AnswerAsync();
        await NotFoundAsync();
        await RefusalsAsync();
        await OtherSitesAsync();
        await TooManyAsync();
        await LeavingAsync();
    }

    private async Task PageAsync()
    {
        foreach (var (path, type) in new[] { ("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css") })
        {
            using var response = await _client.GetAsync(new Uri(path, UriKind.Relative), Token);
            Assert.Equal(type, response.Content.Headers.ContentType!.MediaType);
            Assert.Contains("default-src 'none'", response.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
        }
    }

    private async Task StatusAsync()
    {
        var status = await _client.GetFromJsonAsync<JsonElement>("/api/status", Token);
        Assert.Equal("tiny-r1 tiny-m3", $"{status.GetProperty("model")} {status.GetProperty("embeddingModel")}");
        Assert.Equal(rag.Report.Passages, status.GetProperty("documents").EnumerateArray().Sum(document => document.GetProperty("passages").GetInt32()));
    }

    private async Task AnswerAsync()
    {
        var events = await AskAsync("What is the power of the Ember server?");
        Assert.Equal("found", events[0].Name);
        Assert.Contains(events, happened => happened.Name == "thought");
        Assert.Contains(events, happened => happened.Name == "text");
        var (name, done) = events[^1];
        Assert.Equal("done answered", $"{name} {done.GetProperty("state")}");
        Assert.Equal("The power of the Ember server is 903 watts. [1]", done.GetProperty("text").GetString());
        var passage = done.GetProperty("passages")[0];
        Assert.StartsWith("north-hall.md · lines 19–21 · Inventory of the north hall › Ember server", passage.GetProperty("place").GetString(), StringComparison.Ordinal);
        Assert.Contains(passage.GetProperty("sources").EnumerateArray(), source => source.GetProperty("number").GetInt32() == done.GetProperty("cited")[0].GetInt32());
    }

    private async Task NotFoundAsync()
    {
        var done = (await AskAsync("What is the speed of the Harbor server?"))[^1].Data;
        Assert.Equal("not_found The context does not say.", $"{done.GetProperty("state")} {done.GetProperty("text")}");
    }

    private async Task RefusalsAsync()
    {
        var json = "application/json";
        (string Body, string Type, HttpStatusCode Status, string Told)[] refusals =
        [
            ("{\"question\": \"Q?\"}", "text/plain", HttpStatusCode.BadRequest, "send application/json"),
            ("no json", json, HttpStatusCode.BadRequest, "no JSON"),
            ("[]", json, HttpStatusCode.BadRequest, "no string 'question'"),
            ("{\"question\": 3}", json, HttpStatusCode.BadRequest, "no string 'question'"),
            ("{\"question\": \"One?\", \"question\": \"Two?\"}", json, HttpStatusCode.BadRequest, "each key once"),
            ("{\"question\": \"\\ud800\"}", json, HttpStatusCode.BadRequest, "no JSON"),
            ("{\"question\": \"  \"}", json, HttpStatusCode.BadRequest, "is empty"),
            ($"{{\"question\": \"{new string('a', 4001)}\"}}", json, HttpStatusCode.BadRequest, "4001 characters; allowed: 4000"),
            ($"{{\"question\": \"{new string('a', 40_000)}\"}}", json, HttpStatusCode.RequestEntityTooLarge, "allowed: 32768 bytes"),
        ];
        foreach (var (body, type, status, told) in refusals)
        {
            using var response = await _client.PostAsync(new Uri("/api/ask", UriKind.Relative), new StringContent(body, Encoding.UTF8, type), Token);
            Assert.Equal(status, response.StatusCode);
            Assert.Contains(told, (await response.Content.ReadFromJsonAsync<JsonElement>(Token)).GetProperty("error").GetString(), StringComparison.Ordinal);
        }
    }

    /// <summary>Requests under a foreign host name that resolves to this server, and requests from another site's page.</summary>
    private async Task OtherSitesAsync()
    {
        var port = _client.BaseAddress!.Port;
        foreach (var (host, status) in new[] { ("evil.example", 400), ($"evil.example:{port}", 400), ("192.0.2.1", 400), ("localhost", 200), ($"LOCALHOST:{port}", 200), ("127.0.0.1", 200), ($"[::1]:{port}", 200) })
            Assert.Equal((host, status), (host, await StatusOfAsync(HttpMethod.Get, "/api/status", host, null)));
        foreach (var (origin, status) in new[] { ("http://evil.example", 403), ("null", 403), ($"http://127.0.0.1:{port + 1}", 403), ($"http://127.0.0.1:{port}", 400) })
            Assert.Equal((origin, status), (origin, await StatusOfAsync(HttpMethod.Post, "/api/ask", null, origin)));
    }

    private async Task<int> StatusOfAsync(HttpMethod method, string path, string? host, string? origin)
    {
        using var request = new HttpRequestMessage(method, path);
        request.Headers.Host = host;
        if (origin is not null)
            request.Headers.Add("Origin", origin);
        using var response = await _client.SendAsync(request, Token);
        if (!response.IsSuccessStatusCode)
            Assert.NotEmpty((await response.Content.ReadFromJsonAsync<JsonElement>(Token)).GetProperty("error").GetString()!);
        return (int)response.StatusCode;
    }

    private async Task TooManyAsync()
    {
        var gate = _app.Services.GetRequiredService<AskGate>();
        for (var i = 0; i < AskGate.MaxAtOnce; i++)
            Assert.True(gate.TryEnter());
        using (var response = await _client.PostAsJsonAsync("/api/ask", new { question = "What is the power of the Ember server?" }, Token))
        {
            Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
            Assert.Contains("64 questions are being answered", (await response.Content.ReadFromJsonAsync<JsonElement>(Token)).GetProperty("error").GetString(), StringComparison.Ordinal);
        }

        gate.Leave();
        Assert.Equal("done", (await AskAsync("What is the power of the Ember server?"))[^1].Name);
        for (var i = 1; i < AskGate.MaxAtOnce; i++)
            gate.Leave();
    }

    private async Task LeavingAsync()
    {
        var engine = _app.Services.GetRequiredService<IChatClient>().GetService<LlmEngine>()!;
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/ask") { Content = JsonContent.Create(new { question = "What is the power of the Ember server?" }) };
        using (var response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Token))
        {
            using var body = new StreamReader(await response.Content.ReadAsStreamAsync(Token));
            while (await body.ReadLineAsync(Token) != "event: thought")
            {
            }
        }

        while (engine.Statistics.Running > 0)
            await Task.Yield();
    }

    private async Task<List<(string Name, JsonElement Data)>> AskAsync(string question)
    {
        using var response = await _client.PostAsJsonAsync("/api/ask", new { question }, Token);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        var events = (await response.Content.ReadAsStringAsync(Token)).Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(happened => happened.Split('\n'));
        return [.. events.Select(lines => (lines[0]["event: ".Length..], JsonElement.Parse(lines[1]["data: ".Length..])))];
    }
}
