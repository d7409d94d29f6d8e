using LocalLlm.Hub;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Hub;

/// <summary>Repositories whose weights are in PyTorch's own format.</summary>
public class PickleRepositoryTests
{
    private const string First = "pytorch_model-00001-of-00002.bin";
    private const string Second = "pytorch_model-00002-of-00002.bin";

    [Theory]
    [InlineData(HubKind.HuggingFace)]
    [InlineData(HubKind.ModelScope)]
    public async Task An_embedding_model_is_downloaded_with_its_heads_and_embeds(HubKind kind)
    {
        await using var hub = await TinyM3Async();
        using var cache = new TemporaryFolder();
        var folder = await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path, kind));
        var files = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder, file)).Where(file => file[0] != '.').Order(StringComparer.Ordinal);
        Assert.Equal(Local().Order(StringComparer.Ordinal), files);
        Assert.Empty(hub.Downloads("sentencepiece.bpe.model"));
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = folder, Device = "cpu" }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(EmbeddingKinds.Dense | EmbeddingKinds.Sparse | EmbeddingKinds.MultiVector, engine.Kinds);
    }

    [Fact]
    public async Task The_models_own_weights_come_after_everything_else()
    {
        await using var hub = await TinyM3Async();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path) with { MaxWorkers = 1 };
        await HubKit.ResolveAsync(options);
        var order = hub.Requests.Where(seen => seen.Method == "GET" && seen.Path.Contains("/resolve/", StringComparison.Ordinal)).Select(seen => seen.Path.Split('/')[^1]).ToList();
        Assert.True(order.IndexOf("sparse_linear.pt") >= 0 && order.IndexOf("sparse_linear.pt") < order.IndexOf("pytorch_model.bin"), string.Join(" ", order));
        Assert.True(order.IndexOf("colbert_linear.pt") < order.IndexOf("pytorch_model.bin"), string.Join(" ", order));
    }

    [Theory]
    [InlineData(HubKind.HuggingFace)]
    [InlineData(HubKind.ModelScope)]
    public async Task Shards_come_as_the_index_names_them_and_offline_all_must_be_there(HubKind kind)
    {
        await using var hub = await TinyM3Async();
        Shard(hub);
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path, kind);
        var folder = await HubKit.ResolveAsync(options);
        Assert.Equal(hub.Files[First], await File.ReadAllBytesAsync(Path.Combine(folder, First), TestContext.Current.CancellationToken));
        Assert.Equal(hub.Files[Second], await File.ReadAllBytesAsync(Path.Combine(folder, Second), TestContext.Current.CancellationToken));
        Assert.Empty(hub.Downloads("pytorch_model-old.bin"));
        Assert.Equal(folder, await HubKit.ResolveAsync(options with { Offline = true }));
        File.Delete(Path.Combine(folder, Second));
        Assert.Contains("not whole", (await HubKit.FailAsync(options with { Offline = true })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Safetensors_go_before_the_shards_of_a_pickle()
    {
        await using var hub = await TinyM3Async();
        Shard(hub);
        hub.Files["model.safetensors"] = [1, 2, 3];
        using var cache = new TemporaryFolder();
        var folder = await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path));
        Assert.True(File.Exists(Path.Combine(folder, "model.safetensors")));
        Assert.All((string[])[First, Second, ModelFiles.PickleIndexName], file => Assert.Empty(hub.Downloads(file)));
    }

    [Theory]
    [InlineData("""{"weight_map":{"a":"../../x.bin"}}""", "names")]
    [InlineData("""{"weight_map":{"a":"missing.bin"}}""", "names 'missing.bin'")]
    [InlineData("{", "is not valid JSON")]
    public async Task An_index_that_names_what_is_not_there_is_refused(string index, string problem)
    {
        await using var hub = await TinyM3Async();
        Shard(hub);
        hub.Files[ModelFiles.PickleIndexName] = System.Text.Encoding.UTF8.GetBytes(index);
        using var cache = new TemporaryFolder();
        var failure = await HubKit.FailAsync(HubKit.Options(hub, cache.Path));
        Assert.StartsWith(ModelFiles.PickleIndexName, failure.Message, StringComparison.Ordinal);
        Assert.Contains(problem, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Whether_a_repository_is_an_encoder_takes_its_configuration_only()
    {
        await using var hub = await TinyM3Async();
        using var cache = new TemporaryFolder();
        var options = new EngineOptions { ModelPath = FakeHub.Repository, DownloadDir = cache["models"], HubVariables = name => name == "HF_ENDPOINT" ? hub.Endpoint : name == "HOME" ? cache.Path : null };
        Assert.True(await ModelSource.IsEncoderAsync(options, TestContext.Current.CancellationToken));
        Assert.Single(hub.Downloads("config.json"), seen => !seen.Path.Contains("1_Pooling", StringComparison.Ordinal));
        Assert.Empty(hub.Downloads("pytorch_model.bin"));
        Assert.Empty(hub.Downloads("tokenizer.json"));
        var phases = new Phases();
        await using var engine = await EmbeddingEngine.LoadAsync(options with { Device = "cpu" }, phases, TestContext.Current.CancellationToken);
        Assert.Equal(FakeHub.Repository, engine.ModelName);
        Assert.Contains("downloading org/tiny-r1", phases);
        Assert.Contains("reading weights", phases);
        await using var other = await FakeHub.StartAsync();
        using var empty = new TemporaryFolder();
        Assert.False(await ModelSource.IsEncoderAsync(
            options with { DownloadDir = empty.Path, HubVariables = name => name == "HF_ENDPOINT" ? other.Endpoint : name == "HOME" ? empty.Path : null }, TestContext.Current.CancellationToken));
        Assert.False(await ModelSource.IsEncoderAsync(new() { ModelPath = empty.Path }, TestContext.Current.CancellationToken));
    }

    private sealed class Phases : List<string>, IProgress<LoadProgress>
    {
        public void Report(LoadProgress value)
        {
            lock (this)
                Add(value.Phase);
        }
    }

    private static async Task<FakeHub> TinyM3Async()
    {
        var hub = await FakeHub.StartAsync(withModel: false);
        foreach (var file in Local())
            hub.Files[file] = await File.ReadAllBytesAsync(Path.Combine(TestPaths.TinyM3, file));
        hub.Files["sentencepiece.bpe.model"] = [1, 2, 3];
        hub.Files["onnx/model.onnx"] = [1, 2, 3];
        hub.Files["README.md"] = "nobody needs this"u8.ToArray();
        return hub;
    }

    private static void Shard(FakeHub hub)
    {
        hub.Files.Remove("pytorch_model.bin");
        (hub.Files[First], hub.Files[Second], hub.Files["pytorch_model-old.bin"]) = ([1, 2, 3], [4, 5], [6]);
        hub.Files[ModelFiles.PickleIndexName] = System.Text.Encoding.UTF8.GetBytes($$$"""{"metadata":{"total_size":5},"weight_map":{"a":"{{{First}}}","b":"{{{Second}}}"}}""");
    }

    private static IEnumerable<string> Local() => Directory.EnumerateFiles(TestPaths.TinyM3, "*", SearchOption.AllDirectories)
        .Select(file => Path.GetRelativePath(TestPaths.TinyM3, file)).Where(file => !file.StartsWith("eval/", StringComparison.Ordinal) && !file.EndsWith(".md", StringComparison.Ordinal));
}
