using LocalLlm.Tests;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tool.Tests.Serving;

/// <summary>An argument that is not a model gets an error of one sentence: it names the argument, says what it is, and says what to give
/// instead.</summary>
public sealed class ModelFolderTests
{
    public static TheoryData<string, string[], string[]> Folders => new()
    {
        { "GGUF files", ["model-Q4_K_M.gguf"], ["a GGUF model", "'model-Q4_K_M.gguf'", "safetensors"] },
        { "GGUF files with a configuration", ["config.json={}", "a.gguf"], ["a GGUF model"] },
        { "an ONNX model", ["config.json={}", "onnx/model.onnx", "tokenizer.json={}"], ["an ONNX model", "safetensors"] },
        { "an ONNX file", ["model.onnx"], ["an ONNX model", "'model.onnx'"] },
        { "a GPTQ model", ["config.json={\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}}", "model.safetensors"], ["quantised with 'gptq'", "unquantised"] },
        { "an AWQ model", ["config.json={\"quantization_config\":{\"quant_method\":\"awq\"}}", "model.safetensors"], ["quantised with 'awq'", "unquantised"] },
        { "an MLX model", ["config.json={\"quantization\":{\"group_size\":64,\"bits\":4}}", "model.safetensors"], ["quantised with MLX", "unquantised"] },
        { "an old GPTQ model", ["config.json={}", "quantize_config.json={}", "model.safetensors"], ["GPTQ (quantize_config.json)"] },
        { "a LoRA adapter", ["adapter_config.json={\"base_model_name_or_path\":\"org/base\"}", "adapter_model.safetensors"], ["a LoRA adapter of 'org/base'", "merge"] },
        { "a LoRA adapter with a tokenizer", ["adapter_config.json={}", "adapter_model.bin", "tokenizer.json={}"], ["a LoRA adapter", "merge"] },
        { "an empty folder", [], ["is empty", "config.json"] },
        { "a tokenizer alone", ["tokenizer.json={}", "tokenizer_config.json={}"], ["holds a tokenizer, but no config.json and no weights"] },
        { "a configuration and a tokenizer", ["config.json={}", "tokenizer.json={}"], ["holds a configuration (config.json) and a tokenizer, but no weights"] },
        { "weights alone", ["model.safetensors"], ["holds weights, but no config.json"] },
        { "other files", ["README.md", "photo.jpg"], ["holds no model", "config.json"] },
        { "a parent of two models", ["a/config.json={}", "b/config.json={}"], ["holds several (a, b)", "give one of them"] },
        { "a grandparent", ["org/name/config.json={}"], ["holds one (org/name)", "give that one"] },
        { "a clone without LFS", ["config.json={}", "model.safetensors=version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"], ["Git LFS", "git lfs pull"] },
        { "a TensorFlow model", ["config.json={}", "tf_model.h5"], ["a TensorFlow model"] },
        { "a cache of a hub", ["models--org--name/snapshots/0123/config.json={}"], ["holds one (models--org--name)"] },
    };

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task A_folder_that_is_no_model_is_called_what_it_is(string kind, string[] files, string[] says)
    {
        using var folder = Folder(files);
        foreach (var line in (string[][])[["plan", folder.Path, "--device", "cpu"], ["serve", folder.Path, "--port", "0", "--device", "cpu"], ["embed", folder.Path, "--input", "-"]])
        {
            var run = await Cli.RunAsync(line);
            Assert.True(run.ExitCode == 1, $"{kind}: {run.ExitCode} {run.Error}");
            Assert.StartsWith($"error: The folder '{folder.Path}' ", run.Error, StringComparison.Ordinal);
            foreach (var part in says)
                Assert.Contains(part, run.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("listening", run.Error, StringComparison.Ordinal);
        }

        var failure = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(new() { ModelPath = folder.Path, Device = "cpu" }, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(EngineErrorKind.ModelFolder, failure.Kind);
    }

    [Theory]
    [InlineData("deepseek-r1:7b", "Ollama", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B")]
    [InlineData("deepseek-r1:70b", "Ollama", "deepseek-ai/DeepSeek-R1-Distill-Llama-70B")]
    [InlineData("qwen3:latest", "Ollama", "org/name")]
    [InlineData("library/llama3.2:1b", "Ollama", "org/name")]
    [InlineData("hf.co/bartowski/X-GGUF:Q4_K_M", "Ollama", "GGUF")]
    [InlineData("https://huggingface.co/Qwen/Qwen2-0.5B/tree/main", "is a web address", "Qwen/Qwen2-0.5B")]
    [InlineData("https://example.org/x", "is a web address", "org/name")]
    [InlineData("hf.co/Qwen/Qwen2-0.5B", "is a web address", "Qwen/Qwen2-0.5B")]
    [InlineData("huggingface.co/Qwen/Qwen2-0.5B", "is a web address", "Qwen/Qwen2-0.5B")]
    [InlineData("file:///models/qwen", "is the address of a file", "/models/qwen")]
    [InlineData("s3://bucket/qwen", "does not read (s3://)", "copy the model")]
    [InlineData("hf://Qwen/Qwen2-0.5B", "address of a hub", "such as Qwen/Qwen2-0.5B")]
    [InlineData("ollama://deepseek-r1:7b", "Ollama", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B")]
    [InlineData("~/models/x", "only shells expand ~", "/models/x")]
    [InlineData("./no/such", "is not a folder", "org/name")]
    [InlineData("a/b/c", "is not a folder", "org/name")]
    public async Task A_text_that_names_no_folder_is_called_what_it_is(string text, params string[] says)
    {
        foreach (var line in (string[][])[["plan", text], ["serve", text], ["tokenize", text, "--input", "-"], ["download", text]])
        {
            var run = await Cli.RunAsync(line);
            Assert.Equal(1, run.ExitCode);
            Assert.Contains($"'{text}'", run.Error, StringComparison.Ordinal);
            foreach (var part in says)
                Assert.Contains(part, run.Error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("model.gguf", "is a GGUF file")]
    [InlineData("model.safetensors", "is a file of weights, not a folder")]
    [InlineData("model.onnx", "is an ONNX file")]
    [InlineData("model.tar.gz", "is an archive")]
    [InlineData("notes.md", "is a file, not a folder")]
    public async Task A_file_is_no_folder(string name, string says)
    {
        using var folder = Folder([name]);
        var run = await Cli.RunAsync("plan", folder[name]);
        Assert.Equal(1, run.ExitCode);
        Assert.Contains($"'{folder[name]}' {says}", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_of_a_model_leads_to_its_folder()
    {
        var run = await Cli.RunAsync("plan", Path.Combine(TestPaths.TinyR1, "config.json"));
        Assert.Contains($"give the folder, {TestPaths.TinyR1}", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_mistyped_path_is_answered_with_what_stands_there()
    {
        var run = await Cli.RunAsync("plan", TestPaths.TinyR1 + "1");
        Assert.Contains("(is it ", run.Error, StringComparison.Ordinal);
        Assert.Contains("tiny-r1?)", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a/b/c/d.gguf")]
    [InlineData("/no/where")]
    [InlineData("/tmp/x")]
    public async Task A_path_that_resembles_no_model_folder_gets_no_suggestion(string path)
    {
        var run = await Cli.RunAsync("plan", path);
        Assert.Equal(1, run.ExitCode);
        Assert.DoesNotContain("(is it ", run.Error, StringComparison.Ordinal);
        Assert.Contains("is not a folder", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_without_a_model_is_not_suggested()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["some-model-1"]);
        Assert.DoesNotContain("(is it ", (await Cli.RunAsync("plan", folder["some-model-2"])).Error, StringComparison.Ordinal);
        Directory.CreateSymbolicLink(folder["some-model-3"], TestPaths.TinyR1);
        Assert.Contains("some-model-3?)", (await Cli.RunAsync("plan", folder["some-model-2"])).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_link_that_leads_nowhere_is_named_as_one()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateSymbolicLink(folder["model"], folder["gone"]);
        var run = await Cli.RunAsync("plan", folder["model"]);
        Assert.Contains($"is a link to '{folder["gone"]}', which does not exist", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_of_the_hubs_cache_stands_for_its_only_snapshot()
    {
        using var cache = new TemporaryFolder();
        var storage = cache["models--org--tiny"];
        Directory.CreateDirectory(Path.Combine(storage, "snapshots"));
        Directory.CreateSymbolicLink(Path.Combine(storage, "snapshots", new string('a', 40)), TestPaths.TinyR1);
        Assert.Equal("org/tiny", LlmEngine.NameOf(new() { ModelPath = storage }));
        Assert.Equal(0, (await Cli.RunAsync("plan", storage, "--device", "cpu")).ExitCode);
        var tokens = await Cli.WithInputAsync("{\"text\":\"a\"}\n", "tokenize", storage, "--input", "-");
        Assert.Contains("token_ids", tokens.Output, StringComparison.Ordinal);

        Directory.CreateSymbolicLink(Path.Combine(storage, "snapshots", new string('b', 40)), TestPaths.TinyR1);
        var run = await Cli.RunAsync("plan", storage, "--device", "cpu");
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("the hub's cache of org/tiny with 2 snapshots; give org/tiny, or one of them, such as ", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_models_that_ship_are_models()
    {
        Assert.Null(ModelSource.FaultOf(TestPaths.TinyR1));
        Assert.Null(ModelSource.FaultOf(TestPaths.TinyM3));
    }

    [Theory]
    [InlineData("/dev/zero")]
    [InlineData("/dev/null")]
    public void A_device_in_the_place_of_a_file_is_not_read(string device)
    {
        using var folder = new TemporaryFolder();
        foreach (var file in (string[])["config.json", "adapter_config.json", "model.safetensors"])
            File.CreateSymbolicLink(folder[file], device);
        // The code that reads the files reports what is wrong with them.
        Assert.Null(ModelSource.FaultOf(folder.Path));
    }

    // Each entry is PATH or PATH=CONTENT.
    private static TemporaryFolder Folder(string[] files)
    {
        var folder = new TemporaryFolder();
        foreach (var file in files)
        {
            var end = file.IndexOf('=', StringComparison.Ordinal);
            var path = folder[end < 0 ? file : file[..end]];
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, end < 0 ? "content" : file[(end + 1)..]);
        }

        return folder;
    }
}
