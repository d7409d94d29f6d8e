using System.Net;
using LocalLlm.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Server.Tests.Serving;

/// <summary>The server's routes in an application that has routes of its own.</summary>
public sealed class OtherHostTests
{
    [Fact]
    public async Task An_application_maps_the_api_where_it_likes_and_keeps_its_own_routes()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Configuration.AddInMemoryCollection([new("LocalLlm:ModelPath", TestPaths.TinyR1), new("LocalLlm:Device", "cpu"), new("LocalLlm:ModelId", "house"), new("LocalLlm:Server:ApiKeys:0", "sk-a")]);
        builder.Services.AddLocalLlm();
        builder.Services.AddLocalLlmServer(options => options.ModelAliases.Add("other"));
        await using var app = builder.Build();
        app.MapLocalLlmOpenAI("/ai/v1");
        app.MapGet("/own", () => "mine");
        await app.StartAsync(TestContext.Current.CancellationToken);
        await app.Services.GetRequiredService<LocalLlm.Extensions.AI.IModelHost<LlmEngine>>().GetAsync(TestContext.Current.CancellationToken);
        using var client = new HttpClient { BaseAddress = new(app.Urls.First()) };
        Assert.Equal("mine", await client.GetStringAsync(new Uri("/own", UriKind.Relative), TestContext.Current.CancellationToken));
        Assert.Equal(HttpStatusCode.Unauthorized, (await client.GetAsync(new Uri("/ai/v1/models", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
        client.DefaultRequestHeaders.Authorization = new("Bearer", "sk-a");
        var models = await client.GetStringAsync(new Uri("/ai/v1/models", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Contains("\"id\":\"house\"", models, StringComparison.Ordinal);
        Assert.Contains("\"id\":\"other\"", models, StringComparison.Ordinal);
        using var answer = await client.PostAsync(
            new Uri("/ai/v1/completions", UriKind.Relative), new StringContent("""{"model":"other","prompt":"The capital of France is","temperature":0,"max_tokens":1}""", null, "application/json"), TestContext.Current.CancellationToken);
        var text = await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.Contains(" Paris", text, StringComparison.Ordinal);
        Assert.Contains("\"model\":\"house\"", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Mapping_without_registration_says_what_is_missing()
    {
        var app = WebApplication.CreateSlimBuilder().Build();
        var failure = Assert.Throws<InvalidOperationException>(() => app.MapLocalLlmOpenAI());
        Assert.Contains("AddLocalLlmServer", failure.Message, StringComparison.Ordinal);
    }
}
