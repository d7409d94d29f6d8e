using LocalLlm.Tests.Execution;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Hub;

public class LoadFromHubTests
{
    [Theory]
    [InlineData("huggingface", "snapshots")]
    [InlineData("modelscope", "tiny-r1")]
    public async Task A_repository_is_downloaded_when_it_is_loaded_and_keeps_its_name(string kind, string folder)
    {
        SuiteExecutor.SkipInAnotherProcess();
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var phases = new Phases();
        var options = Options(hub, cache) with { Hub = kind };
        await using var engine = await SuiteExecutor.LoadAsync(options, phases, TestContext.Current.CancellationToken);
        Assert.Equal(FakeHub.Repository, engine.ModelName);
        Assert.StartsWith(cache["models"], engine.Options.ModelPath, StringComparison.Ordinal);
        Assert.Contains(folder, engine.Options.ModelPath, StringComparison.Ordinal);
        Assert.Contains("downloading org/tiny-r1", phases);

        hub.Requests.Clear();
        Assert.True(LlmEngine.PlanMemory(options).NumBlocks > 0);
        Assert.Empty(hub.Downloads("model.safetensors"));
    }

    [Fact]
    public async Task A_revision_that_does_not_exist_is_the_hubs_error()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Intercept = context =>
        {
            FakeHub.Refuse(context, 404, "RevisionNotFound");
            return Task.FromResult(true);
        };
        var failure = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(Options(hub, cache) with { Revision = "v9" }, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("'v9'", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/nowhere")]
    [InlineData("./x")]
    [InlineData("../x")]
    [InlineData("a/b/c")]
    [InlineData("x")]
    public async Task A_path_that_does_not_exist_is_an_error_and_asks_no_hub(string path)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var failure = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(Options(hub, cache) with { ModelPath = path }, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal((EngineErrorKind.InvalidOptions, "model"), (failure.Kind, failure.Parameter));
        Assert.Contains($"'{path}' is not a folder", failure.Message, StringComparison.Ordinal);
        Assert.Empty(hub.Requests);
    }

    [Fact]
    public async Task Options_of_hubs_are_checked_with_all_others()
    {
        var failure = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(
            new EngineOptions { ModelPath = TestPaths.TinyR1, Hub = "ollama", Revision = "../x", Dtype = "int8" }, cancellationToken: TestContext.Current.CancellationToken));
        Assert.All((string[])["hub is 'ollama'", "revision is given, but the model is a local folder", "revision is '../x'", "dtype is 'int8'"], text => Assert.Contains(text, failure.Message, StringComparison.Ordinal));
    }

    private static EngineOptions Options(FakeHub hub, TemporaryFolder cache) => new()
    {
        ModelPath = FakeHub.Repository,
        DownloadDir = cache["models"],
        Dtype = "float32",
        HubVariables = name => name is "HF_ENDPOINT" or "MODELSCOPE_DOMAIN" ? hub.Endpoint : name == "HOME" ? cache.Path : null,
    };

    private sealed class Phases : List<string>, IProgress<LoadProgress>
    {
        public void Report(LoadProgress value)
        {
            lock (this)
                Add(value.Phase);
        }
    }
}
