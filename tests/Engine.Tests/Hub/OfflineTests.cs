using LocalLlm.Hub;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Hub;

public class OfflineTests
{
    [Theory]
    [InlineData(HubKind.HuggingFace)]
    [InlineData(HubKind.ModelScope)]
    public async Task Offline_the_cache_is_used_and_the_network_is_not(HubKind kind)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path, kind);
        var folder = await HubKit.ResolveAsync(options);
        hub.Requests.Clear();
        Assert.Equal(folder, await HubKit.ResolveAsync(options with { Offline = true }));
        Assert.Empty(hub.Requests);
        Assert.Contains("'v1'", (await HubKit.FailAsync(options with { Offline = true, Revision = "v1" })).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(HubKind.HuggingFace)]
    [InlineData(HubKind.ModelScope)]
    public async Task Offline_without_the_model_is_one_error_that_names_the_folder_and_the_way_out(HubKind kind)
    {
        using var cache = new TemporaryFolder();
        var failure = await HubKit.FailAsync(new() { Hub = kind, CacheFolder = cache.Path, Offline = true });
        Assert.Equal(EngineErrorKind.ModelFolder, failure.Kind);
        Assert.Contains(cache.Path, failure.Message, StringComparison.Ordinal);
        Assert.Contains("localllm download org/tiny-r1", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Offline_what_was_not_downloaded_whole_is_not_used()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path);
        File.Delete(Path.Combine(await HubKit.ResolveAsync(options), "model.safetensors"));
        Assert.Contains("not whole", (await HubKit.FailAsync(options with { Offline = true })).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "")]
    [InlineData(503, "")]
    [InlineData(401, "GatedRepo")]
    public async Task While_the_hub_gives_nothing_the_cache_is_used_with_a_warning(int status, string code)
    {
        using var cache = new TemporaryFolder();
        var warnings = new List<string>();
        HubOptions options;
        string folder;
        await using (var hub = await FakeHub.StartAsync())
        {
            options = HubKit.Options(hub, cache.Path) with { Warning = warnings.Add };
            folder = await HubKit.ResolveAsync(options);
            if (status > 0)
            {
                hub.Intercept = context =>
                {
                    FakeHub.Refuse(context, status, code);
                    return Task.FromResult(true);
                };
                Assert.Equal(folder, await HubKit.ResolveAsync(options));
            }
        }

        if (status == 0)
            Assert.Equal(folder, await HubKit.ResolveAsync(options));
        Assert.Contains(folder, Assert.Single(warnings), StringComparison.Ordinal);
        Assert.Equal(EngineErrorKind.Environment, (await HubKit.FailAsync(options with { Revision = "other" })).Kind);
    }

    [Fact]
    public async Task A_commit_that_is_whole_in_the_cache_needs_no_network()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path) with { Revision = FakeHub.Commit };
        var folder = await HubKit.ResolveAsync(options);
        Assert.False(Directory.Exists(Path.Combine(cache.Path, "models--org--tiny-r1", "refs")));
        hub.Requests.Clear();
        Assert.Equal(folder, await HubKit.ResolveAsync(options));
        Assert.Empty(hub.Requests);
    }
}
