using System.Globalization;
using LocalLlm.Hub;
using LocalLlm.Tests.Weights;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace LocalLlm.Tests.Hub;

public class RefusalTests
{
    private const string Secret = "hf_verysecret";

    [Theory]
    [InlineData("../config.json")]
    [InlineData("a/../../config.json")]
    [InlineData("/etc/config.json")]
    [InlineData("a\\config.json")]
    [InlineData("C:/config.json")]
    [InlineData("config\0.json")]
    [InlineData("a//config.json")]
    [InlineData("./config.json")]
    [InlineData("")]
    [InlineData("1_NUL/../config.json")]
    [InlineData("tokenizer:x.json")]
    public async Task A_file_name_that_could_leave_its_folder_is_refused_before_anything_is_written(string name)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Files[name] = "{}"u8.ToArray();
        foreach (var kind in Enum.GetValues<HubKind>())
        {
            var failure = await HubKit.FailAsync(HubKit.Options(hub, cache["c"], kind));
            Assert.Equal(EngineErrorKind.ModelFolder, failure.Kind);
            Assert.False(Directory.Exists(cache["c"]));
        }
    }

    [Theory]
    [InlineData("../../../etc/passwd")]
    [InlineData("xyz")]
    [InlineData("0123456789abcdef0123456789abcdef0123456g")]
    public async Task A_digest_that_is_not_hex_is_refused(string digest)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Lies["model.safetensors"] = digest;
        foreach (var kind in Enum.GetValues<HubKind>())
            Assert.Contains("hex", (await HubKit.FailAsync(HubKit.Options(hub, cache["c"], kind))).Message, StringComparison.Ordinal);
        hub.ListsBlobs = false;
        Assert.Contains("hex", (await HubKit.FailAsync(HubKit.Options(hub, cache["c"]))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-5)]
    [InlineData(long.MaxValue)]
    public async Task A_size_that_no_file_has_is_refused(long size)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.SizeLies["model.safetensors"] = size;
        foreach (var kind in Enum.GetValues<HubKind>())
            Assert.Contains("'model.safetensors'", (await HubKit.FailAsync(HubKit.Options(hub, cache["c"], kind))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task More_than_the_disk_has_is_refused_before_it_begins()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.SizeLies["model.safetensors"] = 15L << 40;
        Assert.Contains("free", (await HubKit.FailAsync(HubKit.Options(hub, cache["c"]))).Message, StringComparison.Ordinal);
        Assert.Empty(hub.Downloads("config.json"));
    }

    [Theory]
    [InlineData(401, "GatedRepo", "HF_TOKEN")]
    [InlineData(403, "GatedRepo", "ask for access")]
    [InlineData(401, "RepoNotFound", "does not exist")]
    [InlineData(403, null, "403")]
    [InlineData(404, "RepoNotFound", "not found")]
    [InlineData(404, "RevisionNotFound", "no revision 'main'")]
    [InlineData(400, null, "400")]
    public async Task A_refusal_says_what_to_do_and_is_not_tried_again(int status, string? code, string expected)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Intercept = context => Answer(context, status, code);
        var failure = await HubKit.FailAsync(HubKit.Options(hub, cache.Path));
        Assert.Equal(EngineErrorKind.ModelFolder, failure.Kind);
        Assert.Contains(expected, failure.Message, StringComparison.Ordinal);
        Assert.Single(hub.Requests);
    }

    [Theory]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(429)]
    public async Task A_busy_server_is_asked_again_with_growing_patience(int status)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path);
        var answers = 0;
        hub.Intercept = context => Interlocked.Increment(ref answers) > 3 ? Task.FromResult(false) : Answer(context, status);
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(options));
        Assert.Equal([1, 2, 4], ((HubKit.ImpatientTime)options.Time).Waits.Select(wait => wait.TotalSeconds));

        hub.Intercept = context => Answer(context, status);
        var failure = await HubKit.FailAsync(options with { CacheFolder = cache["other"] });
        Assert.Equal(EngineErrorKind.Environment, failure.Kind);
        Assert.Contains(status.ToString(CultureInfo.InvariantCulture), failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("7", 7)]
    [InlineData("86400", null)]
    public async Task A_server_that_says_when_to_come_back_is_obeyed_or_quoted(string retryAfter, int? waited)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path);
        var answers = 0;
        hub.Intercept = context =>
        {
            context.Response.Headers.RetryAfter = retryAfter;
            return Interlocked.Increment(ref answers) > 1 ? Task.FromResult(false) : Answer(context, 429);
        };
        if (waited is null)
            Assert.Contains("86400 seconds", (await HubKit.FailAsync(options)).Message, StringComparison.Ordinal);
        else
            await HubKit.ResolveAsync(options);
        Assert.Equal(waited is { } seconds ? [seconds] : [], ((HubKit.ImpatientTime)options.Time).Waits.Select(wait => (int)wait.TotalSeconds));
    }

    [Theory]
    [InlineData(HubKind.HuggingFace)]
    [InlineData(HubKind.ModelScope)]
    public async Task The_token_goes_to_the_hub_only_and_into_no_message(HubKind kind)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path, kind) with { Token = Secret };
        await HubKit.ResolveAsync(options);
        Assert.All(hub.Requests.Where(seen => seen.Server == "hub"), seen => Assert.Equal("Bearer " + Secret, seen.Headers["Authorization"]));
        Assert.All(hub.Requests.Where(seen => seen.Server == "cdn"), seen => Assert.DoesNotContain(seen.Headers.Values, value => value.Contains(Secret, StringComparison.Ordinal)));
        Assert.Equal(kind == HubKind.HuggingFace, hub.Requests.Any(seen => seen.Server == "cdn"));

        hub.Intercept = context => Answer(context, 401, "GatedRepo");
        Assert.DoesNotContain(Secret, (await HubKit.FailAsync(options with { CacheFolder = cache["other"] })).ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, options.ToString(), StringComparison.Ordinal);
        var malformed = await HubKit.FailAsync(options with { Token = Secret + "\nX: y" });
        Assert.DoesNotContain(Secret, malformed.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_relative_redirect_is_followed_on_the_same_host_with_the_token()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Intercept = context =>
        {
            if (!context.Request.Path.Value!.EndsWith("/config.json", StringComparison.Ordinal) || context.Request.QueryString.HasValue)
                return Task.FromResult(false);
            context.Response.StatusCode = 307;
            context.Response.Headers.Location = context.Request.Path + "?moved=1";
            return Task.FromResult(true);
        };
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path) with { Token = Secret }));
        Assert.Equal("Bearer " + Secret, Assert.Single(hub.Requests, seen => seen.Path.EndsWith("?moved=1", StringComparison.Ordinal)).Headers["Authorization"]);
    }

    [Theory]
    [InlineData("file:///etc/passwd")]
    [InlineData("ftp://127.0.0.1/x")]
    [InlineData("?again")]
    [InlineData(null)]
    public async Task A_redirect_that_leads_nowhere_is_refused(string? location)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Intercept = context =>
        {
            context.Response.StatusCode = 302;
            if (location is not null)
                context.Response.Headers.Location = location;
            return Task.FromResult(true);
        };
        var failure = await HubKit.FailAsync(HubKit.Options(hub, cache.Path));
        Assert.Contains("redirects", failure.Message, StringComparison.Ordinal);
        Assert.InRange(hub.Requests.Count, 1, 11);
    }

    [Theory]
    [InlineData("<html>log in</html>", "not JSON")]
    [InlineData("[]", "commit")]
    [InlineData("{\"sha\":\"../../x\",\"siblings\":[]}", "commit")]
    [InlineData("{\"sha\":\"0123456789abcdef0123456789abcdef01234567\"}", "siblings")]
    [InlineData("{\"sha\":\"0123456789abcdef0123456789abcdef01234567\",\"siblings\":[{\"rfilename\":\"\\ud800\",\"size\":1}]}", "no known model file")]
    public async Task A_malformed_hub_response_is_one_error(string body, string expected)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Intercept = async context =>
        {
            await context.Response.WriteAsync(body);
            return true;
        };
        Assert.Contains(expected, (await HubKit.FailAsync(HubKit.Options(hub, cache.Path))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_answer_without_end_is_cut_off()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Intercept = async context =>
        {
            var spaces = new byte[1 << 20];
            spaces.AsSpan().Fill((byte)' ');
            while (!context.RequestAborted.IsCancellationRequested)
                await context.Response.Body.WriteAsync(spaces, context.RequestAborted);
            return true;
        };
        Assert.Contains("64 MiB", (await HubKit.FailAsync(HubKit.Options(hub, cache.Path))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_index_that_names_a_file_outside_of_the_repository_is_refused()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Files[ModelFiles.IndexName] = "{\"weight_map\":{\"a\":\"../../x.safetensors\"}}"u8.ToArray();
        Assert.Contains("x.safetensors", (await HubKit.FailAsync(HubKit.Options(hub, cache.Path))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ftp://x")]
    [InlineData("huggingface.co")]
    [InlineData("https://user:secret@huggingface.co")]
    public async Task An_invalid_endpoint_is_refused(string endpoint)
    {
        using var cache = new TemporaryFolder();
        var failure = await HubKit.FailAsync(new() { Endpoint = endpoint, CacheFolder = cache.Path });
        Assert.Equal(EngineErrorKind.InvalidOptions, failure.Kind);
        Assert.DoesNotContain("secret", failure.Message, StringComparison.Ordinal);
    }

    private static Task<bool> Answer(HttpContext context, int status, string? code = null)
    {
        FakeHub.Refuse(context, status, code);
        return Task.FromResult(true);
    }
}
