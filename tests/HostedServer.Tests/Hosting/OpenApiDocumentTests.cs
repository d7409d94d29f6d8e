using System.Net;
using System.Text.Json;
using LocalLlm.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Xunit;

namespace LocalLlm.Server.Tests.Hosting;

/// <summary>The server's routes in the OpenAPI document that ASP.NET Core writes for the host.</summary>
public sealed class OpenApiDocumentTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_route_says_what_it_does_takes_and_gives()
    {
        var paths = await PathsAsync();
        string[] posts = ["/ai/chat/completions", "/ai/completions", "/ai/embeddings", "/ai/rerank", "/ai/score", "/rerank", "/v2/rerank", "/score", "/tokenize", "/detokenize"];
        foreach (var route in posts)
        {
            var post = paths.GetProperty(route).GetProperty("post");
            Assert.True(post.GetProperty("requestBody").GetProperty("content").TryGetProperty("application/json", out _), route);
            var responses = post.GetProperty("responses");
            Assert.True(responses.GetProperty("200").GetProperty("content").TryGetProperty("application/json", out _), route);
            foreach (var status in (string[])["400", "401", "404", "413", "415", "429", "500", "503"])
                Assert.True(responses.GetProperty(status).GetProperty("content").TryGetProperty("application/json", out _), $"{route} {status}");
        }

        foreach (var (route, methods) in paths.EnumerateObject().Select(path => (path.Name, path.Value)))
        {
            foreach (var operation in methods.EnumerateObject())
            {
                Assert.False(string.IsNullOrWhiteSpace(operation.Value.GetProperty("summary").GetString()), route);
                Assert.Contains(operation.Value.GetProperty("tags")[0].GetString(), new[] { "OpenAI", "LocalLlm" });
            }
        }
    }

    [Fact]
    public async Task Operations_are_called_as_openai_calls_them_and_no_two_alike()
    {
        var operations = (await PathsAsync()).EnumerateObject().SelectMany(path => path.Value.EnumerateObject(), (path, operation) => (path.Name, Operation: operation.Value)).ToArray();
        var ids = operations.ToLookup(operation => operation.Name, operation => operation.Operation.TryGetProperty("operationId", out var id) ? id.GetString() : null);
        Assert.Equal(["createChatCompletion"], ids["/ai/chat/completions"]);
        Assert.Equal(["createCompletion"], ids["/ai/completions"]);
        Assert.Equal(["createEmbedding"], ids["/ai/embeddings"]);
        Assert.Equal(["listModels"], ids["/ai/models"]);
        Assert.Equal(["retrieveModel"], ids["/ai/models/{id}"]);
        var all = ids.SelectMany(group => group).OfType<string>().ToArray();
        Assert.Equal(all.Distinct(StringComparer.Ordinal), all);
    }

    [Fact]
    public async Task Chats_and_completions_may_be_streams_of_events()
    {
        var paths = await PathsAsync();
        foreach (var (route, streams) in ((string, bool)[])[("/ai/chat/completions", true), ("/ai/completions", true), ("/ai/embeddings", false)])
            Assert.Equal(streams, paths.GetProperty(route).GetProperty("post").GetProperty("responses").GetProperty("200").GetProperty("content").TryGetProperty("text/event-stream", out _));
    }

    [Fact]
    public async Task The_api_may_stand_under_several_paths()
    {
        await using var app = Create(host =>
        {
            host.MapLocalLlmOpenAI("/v1");
            host.MapLocalLlmOpenAI("/ai/v1");
        });
        await app.StartAsync(Token);
        using var client = new HttpClient { BaseAddress = new(app.Urls.First()) };
        foreach (var route in (string[])["/v1/models", "/ai/v1/models"])
        {
            // The model is never loaded.
            using var response = await client.GetAsync(new Uri(route, UriKind.Relative), Token);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
            Assert.Contains("model_loading", await response.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        }
    }

    private static async Task<JsonElement> PathsAsync()
    {
        await using var app = Create(host =>
        {
            host.MapOpenApi();
            host.MapLocalLlmOpenAI("/ai");
            host.MapLocalLlmOperations();
            host.MapLocalLlmPage();
        });
        await app.StartAsync(Token);
        using var client = new HttpClient { BaseAddress = new(app.Urls.First()) };
        var text = await client.GetStringAsync(new Uri("/openapi/v1.json", UriKind.Relative), Token);
        return JsonDocument.Parse(text).RootElement.GetProperty("paths");
    }

    private static WebApplication Create(Action<WebApplication> map)
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1);
        builder.Services.AddLocalLlmServer();
        builder.Services.AddOpenApi();
        // The document needs no model.
        builder.Services.RemoveAll<IHostedService>();
        var app = builder.Build();
        map(app);
        return app;
    }
}
