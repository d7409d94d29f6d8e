using System.Text;
using LocalLlm.Planning;
using LocalLlm.Tests.Hub;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Planning;

public sealed class RemotePlanTests : IAsyncLifetime, IDisposable
{
    private readonly TemporaryFolder _home = new();
    private FakeHub _hub = null!;

    public async ValueTask InitializeAsync() => _hub = await FakeHub.StartAsync(withModel: false);

    public ValueTask DisposeAsync() => _hub.DisposeAsync();

    public void Dispose() => _home.Dispose();

    [Theory]
    [InlineData("huggingface")]
    [InlineData("modelscope")]
    public async Task Of_a_repository_of_several_files_only_the_configuration_and_headers_are_fetched(string hub)
    {
        AddShards(files: 7, bytesEach: 3 << 20);
        var plan = await PlanAsync(hub);
        Assert.Equal("config.json and the headers of 7 files", plan.SizesFrom[..plan.SizesFrom.IndexOf(" (", StringComparison.Ordinal)]);
        Assert.InRange(_hub.BytesServed, 1, 999_999);
        // Of every file the planner reads 8 bytes and the header, and no byte of a tensor.
        Assert.All(_hub.Ranges, range => Assert.True(range.To < 4096, $"{range.File}: {range.From} to {range.To}"));
        Assert.Equal(14, _hub.Ranges.Count);
        Assert.Empty(Directory.EnumerateFiles(_home.Path, "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Headers_that_are_too_large_are_left_out_and_the_plan_says_so()
    {
        AddShards(files: 40, bytesEach: 1 << 16, headerPadding: 30_000);
        var plan = await PlanAsync("huggingface");
        Assert.StartsWith("config.json (", plan.SizesFrom, StringComparison.Ordinal);
        Assert.Contains(plan.Notes, note => note.Contains("more than a plan fetches: the sizes are those of config.json", StringComparison.Ordinal));
        Assert.InRange(_hub.BytesServed, 1, 999_999);
    }

    [Fact]
    public async Task A_server_without_ranges_is_not_asked_for_whole_files()
    {
        AddShards(files: 2, bytesEach: 1 << 16);
        _hub.IgnoresRanges = true;
        var plan = await PlanAsync("huggingface");
        Assert.Contains(plan.Notes, note => note.Contains("does not support range requests", StringComparison.Ordinal));
        Assert.Equal(PlanVerdict.Fits, plan.Verdict);
    }

    [Fact]
    public async Task Tensors_that_the_configuration_does_not_know_are_planned_with()
    {
        AddShards(files: 1, bytesEach: 1 << 20);
        var plan = await PlanAsync("huggingface");
        Assert.Contains(plan.Notes, note => note.Contains("the files hold", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_repository_without_a_configuration_is_refused()
    {
        _hub.Files["model.safetensors"] = [1, 2, 3];
        var refusal = await Assert.ThrowsAsync<EngineException>(() => PlanAsync("huggingface"));
        Assert.Equal(EngineErrorKind.ModelFolder, refusal.Kind);
        Assert.Contains("has no config.json", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_configuration_beyond_all_measure_is_not_fetched()
    {
        _hub.Files["config.json"] = new byte[2_000_000];
        await Assert.ThrowsAsync<EngineException>(() => PlanAsync("huggingface"));
    }

    private void AddShards(int files, int bytesEach, int headerPadding = 0)
    {
        _hub.Files["config.json"] = Encoding.UTF8.GetBytes(PublishedConfigs.Qwen7B);
        _hub.Files["model.safetensors.index.json"] = "{}"u8.ToArray();
        for (var i = 1; i <= files; i++)
        {
            var name = $"model-{i:D5}-of-{files:D5}.safetensors";
            var tensor = $$"""{"dtype":"BF16","shape":[{{bytesEach / 2}}],"data_offsets":[0,{{bytesEach}}]}""";
            var header = Encoding.UTF8.GetBytes($$"""{"__metadata__":{"padding":"{{new string('x', headerPadding)}}"},"model.layers.{{i}}.mlp.up_proj.weight":""" + tensor + "}");
            _hub.Files[name] = [.. BitConverter.GetBytes((ulong)header.Length), .. header, .. new byte[bytesEach]];
            _hub.Lfs.Add(name);
        }
    }

    private Task<ModelPlan> PlanAsync(string hub) => ModelPlanner.PlanAsync(
        new()
        {
            Options = new()
            {
                ModelPath = FakeHub.Repository,
                Hub = hub,
                HubVariables = name => name switch { "HF_ENDPOINT" or "MODELSCOPE_DOMAIN" => _hub.Endpoint, "HF_HOME" or "MODELSCOPE_CACHE" => _home.Path, _ => null },
            },
            Cards = [KnownCards.Find("H100")],
        },
        TestContext.Current.CancellationToken);
}
