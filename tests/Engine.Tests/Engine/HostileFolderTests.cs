using System.Runtime.InteropServices;
using LocalLlm.Tests.Execution;
using LocalLlm.Weights;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>A malformed model folder gives one clear error and leaves nothing behind.</summary>
public sealed partial class HostileFolderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("localllm-test-").FullName;

    public HostileFolderTests()
    {
        foreach (var file in Directory.EnumerateFiles(TestPaths.TinyR1))
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
    }

    public static TheoryData<string, string, string, string> Edits => new()
    {
        { "config.json", "\"hidden_size\": 256", "\"hidden_size\": 128", "model.safetensors" },
        { "config.json", "\"num_hidden_layers\": 8", "\"num_hidden_layers\": 9", "model.layers.8" },
        { "config.json", "\"num_hidden_layers\": 8", "\"num_hidden_layers\": 7", "unexpected" },
        { "config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 0", "num_attention_heads" },
        { "config.json", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "num_key_value_heads" },
        { "config.json", "Qwen2ForCausalLM", "BloomForCausalLM", "BloomForCausalLM" },
        { "config.json", "\"rope_theta\": 10000", "\"rope_theta\": 1e400", "rope_theta" },
        { "config.json", "\"silu\"", "\"gelu\"", "hidden_act" },
        { "config.json", "{", "[", "config.json" },
        { "generation_config.json", "0.95", "7", "top_p" },
        { "tokenizer.json", "\"BPE\"", "\"WordPiece\"", "tokenizer.json" },
        { "tokenizer_config.json", "{%- endfor -%}", "{%- endfro -%}", "tokenizer_config.json" },
    };

    [Theory]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    [InlineData("chat_template.jinja")]
    [InlineData("config.json")]
    public async Task A_device_a_pipe_a_folder_or_a_giant_in_the_place_of_a_file_is_refused_unread(string file)
    {
        var path = Path.Combine(_folder, file);
        var giant = Path.Combine(_folder, "giant");
        await using (var stream = File.Create(giant))
            stream.SetLength(2L << 30);
        foreach (var make in (Action[])[() => File.CreateSymbolicLink(path, "/dev/zero"), () => File.CreateSymbolicLink(path, giant), () => Directory.CreateDirectory(path), () => Assert.Equal(0, mkfifo(path, 0x180))])
        {
            File.Delete(path);
            make();
            var failure = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(new() { ModelPath = _folder, Device = "cpu" }, cancellationToken: TestContext.Current.CancellationToken));
            Assert.Equal(EngineErrorKind.ModelFolder, failure.Kind);
            Assert.Contains(file, failure.Message, StringComparison.Ordinal);
            if (Directory.Exists(path))
                Directory.Delete(path);
        }
    }

    [Theory]
    [MemberData(nameof(Edits))]
    public async Task One_error_names_the_file_or_the_field(string file, string found, string replaced, string named)
    {
        var path = Path.Combine(_folder, file);
        var text = await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken);
        Assert.Contains(found, text, StringComparison.Ordinal);
        var place = text.IndexOf(found, StringComparison.Ordinal);
        await File.WriteAllTextAsync(path, text[..place] + replaced + text[(place + found.Length)..], TestContext.Current.CancellationToken);
        await AssertRefused(named);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("model.safetensors")]
    [InlineData("tokenizer.json")]
    public async Task A_missing_file_is_named(string file)
    {
        File.Delete(Path.Combine(_folder, file));
        await AssertRefused(file);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("model.safetensors")]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    public async Task A_file_cut_short_anywhere_is_named(string file)
    {
        var path = Path.Combine(_folder, file);
        var whole = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        for (var part = 0; part < 8; part++)
        {
            await File.WriteAllBytesAsync(path, whole[..(whole.Length * part / 8)], TestContext.Current.CancellationToken);
            await AssertRefused(file);
        }
    }

    [Fact]
    public async Task Several_wrong_tensors_are_reported_in_one_error()
    {
        var config = Path.Combine(_folder, "config.json");
        await File.WriteAllTextAsync(config, (await File.ReadAllTextAsync(config, TestContext.Current.CancellationToken)).Replace("\"intermediate_size\": 768", "\"intermediate_size\": 700", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        var failure = await AssertRefused("24 problems");
        Assert.Contains("gate_proj", failure.Message, StringComparison.Ordinal);
        Assert.Contains("[768, 256], wanted [700, 256]", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Weights_that_are_not_numbers_fail_the_request_and_not_the_engine()
    {
        PoisonLastNorm();
        await using var engine = await SuiteExecutor.LoadAsync(new EngineOptions { ModelPath = _folder, Dtype = "float32" }, cancellationToken: TestContext.Current.CancellationToken);
        for (var i = 0; i < 2; i++)
        {
            var failure = await Assert.ThrowsAsync<EngineException>(() => engine.CompleteAsync(GenerationRequest.FromText("hello"), TestContext.Current.CancellationToken));
            Assert.Equal(EngineErrorKind.GenerationFailed, failure.Kind);
            Assert.Contains("non-finite", failure.Message, StringComparison.Ordinal);
        }

        Assert.True(engine.IsAlive);
        // A step that ran ahead may still hold blocks; they are free once the engine has shut down.
        await engine.ShutdownAsync(TimeSpan.FromMinutes(1));
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void PoisonLastNorm()
    {
        long offset;
        using (var checkpoint = Checkpoint.Open(_folder))
            offset = checkpoint.Tensors["model.norm.weight"].Info.Offset;
        using var file = File.OpenWrite(Path.Combine(_folder, "model.safetensors"));
        file.Position = offset;
        ReadOnlySpan<ushort> notANumber = [0x7FC0];
        file.Write(MemoryMarshal.AsBytes(notANumber));
    }

    private async Task<EngineException> AssertRefused(string named)
    {
        var failure = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(new EngineOptions { ModelPath = _folder }, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(EngineErrorKind.ModelFolder, failure.Kind);
        Assert.Contains(named, failure.Message, StringComparison.Ordinal);
        return failure;
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkfifo(string path, uint mode);
}
