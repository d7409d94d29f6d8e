using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.RegularExpressions;
using LocalLlm.Server.Page;
using LocalLlm.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Server.Tests.Page;

/// <summary>The page as the server sends it; <c>tests/Browser</c> drives it in a browser.</summary>
public sealed class PageTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_file_is_sent_with_its_type_and_may_load_nothing_from_elsewhere()
    {
        await using var app = await StartAsync();
        using var client = ClientOf(app);
        foreach (var asset in PageAssets.All)
        {
            using var response = await client.GetAsync(asset.Route.TrimStart('/'), Token);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal(asset.ContentType, response.Content.Headers.ContentType!.ToString());
            Assert.Equal(asset.Bytes, await response.Content.ReadAsByteArrayAsync(Token));
            Assert.Equal("nosniff", Assert.Single(response.Headers.GetValues("X-Content-Type-Options")));
            var policy = Assert.Single(response.Headers.GetValues("Content-Security-Policy")).Split("; ");
            Assert.Superset(new HashSet<string> { "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'" }, policy.ToHashSet());
            Assert.DoesNotContain(policy, directive => directive.Contains("unsafe", StringComparison.Ordinal) || directive.Contains('*', StringComparison.Ordinal));
        }
    }

    [Fact]
    public void No_file_names_another_host_or_carries_code_or_style_in_its_markup()
    {
        foreach (var asset in PageAssets.All)
        {
            var text = Encoding.UTF8.GetString(asset.Bytes);
            Assert.False(string.IsNullOrWhiteSpace(text), asset.Route);
            Assert.DoesNotMatch("(?i)https?:|['\"(]//|\\bwss?:", text);
            Assert.DoesNotMatch(@"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|@import|\burl\(", text);
            if (asset.ContentType.StartsWith("text/html", StringComparison.Ordinal))
                Assert.DoesNotMatch(@"(?i)\son[a-z]+\s*=|\sstyle\s*=|<style|javascript:|<script(?![^>]*\ssrc=)", text);
        }
    }

    [Fact]
    public void All_that_the_files_load_is_there_and_nothing_else()
    {
        var routes = PageAssets.All.Select(asset => asset.Route).ToHashSet();
        var loaded = new HashSet<string> { "/" };
        foreach (var text in PageAssets.All.Select(asset => Encoding.UTF8.GetString(asset.Bytes)))
        {
            foreach (var match in Regex.EnumerateMatches(text, "(?<=(src|href)=\")page/[^\"]+|(?<=from ')\\./[^']+"))
                loaded.Add("/page/" + Path.GetFileName(text.AsSpan(match.Index, match.Length)).ToString());
        }

        Assert.Equal(routes, loaded);
    }

    [Theory]
    [InlineData("Basic", "anybody:sesame", true)]
    [InlineData("Basic", "anybody:wrong", false)]
    [InlineData(null, null, false)]
    public async Task With_a_key_a_browser_asks_its_user_for_it(string? scheme, string? pair, bool isAdmitted)
    {
        await using var app = await StartAsync("", hasPage: true, "sesame");
        using var client = ClientOf(app);
        foreach (var asset in PageAssets.All)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, asset.Route.TrimStart('/'));
            // Browsers send this header with a page's own requests.
            request.Headers.Add("Sec-Fetch-Site", "same-origin");
            if (scheme is not null)
                request.Headers.Authorization = new AuthenticationHeaderValue(scheme, Convert.ToBase64String(Encoding.UTF8.GetBytes(pair!)));
            using var response = await client.SendAsync(request, Token);
            Assert.Equal(isAdmitted ? HttpStatusCode.OK : HttpStatusCode.Unauthorized, response.StatusCode);
            if (!isAdmitted)
                Assert.Equal("Basic", Assert.Single(response.Headers.WwwAuthenticate).Scheme);
        }
    }

    [Fact]
    public async Task Unless_it_is_mapped_there_is_none()
    {
        await using var app = await StartAsync(hasPage: false);
        using var client = ClientOf(app);
        foreach (var asset in PageAssets.All)
        {
            using var response = await client.GetAsync(asset.Route.TrimStart('/'), Token);
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        }
    }

    [Fact]
    public async Task Behind_a_path_the_address_gets_its_slash()
    {
        await using var app = await StartAsync("/llm");
        using var client = ClientOf(app);
        using var bare = await client.GetAsync("llm", Token);
        Assert.Equal((HttpStatusCode.Redirect, "/llm/"), (bare.StatusCode, bare.Headers.Location!.OriginalString));
        using var page = await client.GetAsync("llm/", Token);
        Assert.Equal(HttpStatusCode.OK, page.StatusCode);
        using var script = await client.GetAsync("llm/page/playground.js", Token);
        Assert.Equal(HttpStatusCode.OK, script.StatusCode);
    }

    private static async Task<WebApplication> StartAsync(string rootPath = "", bool hasPage = true, params string[] keys)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1);
        builder.Services.AddLocalLlmServer(options => options.ApiKeys = [.. keys]);
        var app = builder.Build();
        if (rootPath.Length > 0)
            app.UsePathBase(rootPath);
        app.UseRouting();
        app.MapLocalLlmOpenAI();
        if (hasPage)
            app.MapLocalLlmPage();
        await app.StartAsync(Token);
        return app;
    }

    private static HttpClient ClientOf(WebApplication app) => new(new HttpClientHandler { AllowAutoRedirect = false }) { BaseAddress = new(app.Urls.Single() + "/") };
}
