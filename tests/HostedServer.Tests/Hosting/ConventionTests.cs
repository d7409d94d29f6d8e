using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Server.Tests.Hosting;

/// <summary>Conventions that the host adds to the mapped routes work as they do on its own routes.</summary>
public sealed class ConventionTests
{
    private const string Body = """{"messages":[{"role":"user","content":"Hi"}],"max_tokens":2}""";
    private const string Stream = """{"messages":[{"role":"user","content":"Hi"}],"max_tokens":2,"stream":true}""";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_policy_of_the_host_admits_only_known_callers()
    {
        await using var app = await HostApplication.StartAsync(
            services =>
            {
                services.AddAuthentication(NameHandler.SchemeName).AddScheme<AuthenticationSchemeOptions, NameHandler>(NameHandler.SchemeName, null);
                services.AddAuthorizationBuilder().AddPolicy("ada", policy => policy.RequireAuthenticatedUser().RequireUserName("ada"));
            },
            host =>
            {
                host.UseAuthentication();
                host.UseAuthorization();
                host.MapLocalLlmOpenAI().RequireAuthorization("ada");
            },
            Token);
        foreach (var body in (string[])[Body, Stream])
        {
            Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(app, body));
            Assert.Equal(HttpStatusCode.Forbidden, await StatusAsync(app, body, "bob"));
            Assert.Equal(HttpStatusCode.OK, await StatusAsync(app, body, "ada"));
        }
    }

    [Fact]
    public async Task A_rate_limit_of_the_host_holds()
    {
        await using var app = await HostApplication.StartAsync(
            services => services.AddRateLimiter(limiter =>
            {
                limiter.RejectionStatusCode = StatusCodes.Status429TooManyRequests;
                limiter.AddFixedWindowLimiter("two", window => (window.PermitLimit, window.Window, window.QueueLimit) = (2, TimeSpan.FromHours(1), 0));
            }),
            host =>
            {
                host.UseRouting();
                host.UseRateLimiter();
                host.MapLocalLlmOpenAI().RequireRateLimiting("two");
                host.MapLocalLlmOperations();
            },
            Token);
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(app, Body));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(app, Stream));
        Assert.Equal(HttpStatusCode.TooManyRequests, await StatusAsync(app, Body));
        // Routes that the host mapped separately are not limited.
        using var version = await app.Client.GetAsync(new Uri("/version", UriKind.Relative), Token);
        Assert.Equal(HttpStatusCode.OK, version.StatusCode);
    }

    [Fact]
    public async Task A_filter_of_the_host_runs_before_the_route_and_may_take_its_place()
    {
        var seen = new List<string>();
        await using var app = await HostApplication.StartAsync(
            _ => { },
            host => host.MapLocalLlmOpenAI("/ai").AddEndpointFilter(async (context, next) =>
            {
                seen.Add(context.HttpContext.Request.Path);
                context.HttpContext.Response.Headers["X-Filtered"] = "yes";
                return context.HttpContext.Request.Headers.ContainsKey("X-Stop") ? Results.Json(new { stopped = true }, statusCode: StatusCodes.Status418ImATeapot) : await next(context);
            }),
            Token);
        using var models = await app.Client.GetAsync(new Uri("/ai/models", UriKind.Relative), Token);
        Assert.Equal((HttpStatusCode.OK, "yes"), (models.StatusCode, models.Headers.GetValues("X-Filtered").Single()));
        Assert.Contains("tiny-r1", await models.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        using var answered = await PostAsync(app, "/ai/chat/completions", Stream);
        Assert.EndsWith("data: [DONE]\n\n", await answered.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri("/ai/models", UriKind.Relative));
        request.Headers.Add("X-Stop", "1");
        using var stopped = await app.Client.SendAsync(request, Token);
        Assert.Equal(StatusCodes.Status418ImATeapot, (int)stopped.StatusCode);
        Assert.True(JsonDocument.Parse(await stopped.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("stopped").GetBoolean());
        Assert.Equal(["/ai/models", "/ai/chat/completions", "/ai/models"], seen);
    }

    [Fact]
    public async Task Sites_that_the_host_allows_may_call_and_others_may_not()
    {
        await using var app = await HostApplication.StartAsync(
            services => services.AddCors(cors => cors.AddPolicy("site", policy => policy.WithOrigins("https://a.example").AllowAnyHeader().AllowAnyMethod())),
            host =>
            {
                host.UseRouting();
                host.UseCors();
                host.MapLocalLlmOpenAI().RequireCors("site");
            },
            Token);
        foreach (var (origin, isAllowed) in ((string, bool)[])[("https://a.example", true), ("https://b.example", false)])
        {
            using var preflight = new HttpRequestMessage(HttpMethod.Options, new Uri("/v1/chat/completions", UriKind.Relative));
            preflight.Headers.Add("Origin", origin);
            preflight.Headers.Add("Access-Control-Request-Method", "POST");
            using var response = await app.Client.SendAsync(preflight, Token);
            Assert.Equal(isAllowed, response.Headers.Contains("Access-Control-Allow-Origin"));
        }
    }

    private static async Task<HttpStatusCode> StatusAsync(HostApplication app, string body, string? name = null)
    {
        using var response = await PostAsync(app, "/v1/chat/completions", body, name);
        await response.Content.ReadAsStringAsync(Token);
        return response.StatusCode;
    }

    private static async Task<HttpResponseMessage> PostAsync(HostApplication app, string path, string body, string? name = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(path, UriKind.Relative)) { Content = new StringContent(body, null, "application/json") };
        if (name is not null)
            request.Headers.Add("X-Name", name);
        return await app.Client.SendAsync(request, Token);
    }
}
