using LocalLlm.Interop;
using LocalLlm.Tests.Execution;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Weights;

/// <summary>
/// The files are the truth, the index is a hint: the engine loads what the model needs, and reports all other differences in one warning.
/// </summary>
public class IndexDifferencesTests
{
    public IndexDifferencesTests() => TorchLibrary.EnsureLoaded();

    public static TheoryData<string> Formats => ["safetensors", "bin"];

    [Theory]
    [MemberData(nameof(Formats))]
    public void What_the_index_names_and_no_file_has_is_a_warning_where_it_is_not_needed(string format)
    {
        using var folder = Folder(format, [("s1", ["model.a.weight"])], ("model.a.weight", "s1"), ("mtp.x", "s1"), ("mtp.y", "s1"), ("mtp.z", "s1"), ("mtp.zz", "s1"));
        var warning = Assert.Single(Load(folder, "model.a.weight"));
        Assert.Contains("4 tensors ('mtp.x', 'mtp.y', 'mtp.z' and 1 more) named by the index are in no file, and not needed", warning, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void What_a_file_has_and_the_index_omits_is_loaded(string format)
    {
        using var folder = Folder(format, [("s1", ["model.a.weight", "model.b.weight"])], ("model.a.weight", "s1"));
        var warning = Assert.Single(Load(folder, "model.a.weight", "model.b.weight"));
        Assert.Contains("1 tensor ('model.b.weight') of the files is not named by the index", warning, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void What_a_file_has_and_neither_index_nor_model_know_is_passed_over(string format)
    {
        using var folder = Folder(format, [("s1", ["model.a.weight", "mtp.x"])], ("model.a.weight", "s1"));
        var warning = Assert.Single(Load(folder, "model.a.weight"));
        Assert.Contains("1 tensor ('mtp.x') of parts that this model does not have was not read", warning, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_tensor_in_another_file_than_the_index_says_is_loaded(string format)
    {
        using var folder = Folder(format, [("s1", ["model.a.weight"]), ("s2", ["model.b.weight"])], ("model.a.weight", "s2"), ("model.b.weight", "s2"), ("model.c", "s1"));
        Assert.Contains("1 tensor ('model.a.weight') is in another file", Assert.Single(Load(folder, "model.a.weight", "model.b.weight")), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_file_that_is_not_there_is_a_warning_where_nothing_in_it_is_needed(string format)
    {
        using var folder = Folder(format, [("s1", ["model.a.weight"])], ("model.a.weight", "s1"), ("mtp.x", "s2"));
        Assert.Contains($"1 file ('s2.{format}') named by the index is not in the folder", Assert.Single(Load(folder, "model.a.weight")), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_file_that_is_not_there_is_named_by_the_error_where_it_is_needed(string format)
    {
        using var folder = Folder(format, [("s1", ["model.a.weight"])], ("model.a.weight", "s1"), ("model.b.weight", "s2"), ("model.c.weight", "s1"));
        var error = Assert.Throws<EngineException>(() => Load(folder, "model.a.weight", "model.b.weight", "model.c.weight", "model.d.weight"));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.Contains($"missing model.b.weight [1] (the index puts it into s2.{format}, which is not in the folder: download it)", error.Message, StringComparison.Ordinal);
        Assert.Contains($"missing model.c.weight [1] (the index puts it into s1.{format}, which does not hold it)", error.Message, StringComparison.Ordinal);
        Assert.Contains("missing model.d.weight [1]", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void The_rest_of_a_numbered_set_that_the_index_names_in_part_is_opened(string format)
    {
        using var folder = Folder(format, [("m-00001-of-00002", ["model.a.weight"]), ("m-00002-of-00002", ["model.b.weight"]), ("other", ["model.a.weight"])], ("model.a.weight", "m-00001-of-00002"));
        Assert.Single(Load(folder, "model.a.weight", "model.b.weight"));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_whole_file_counts_before_an_index_of_files_that_were_merged(string format)
    {
        var whole = format == "bin" ? "pytorch_model" : "model";
        using var folder = Folder(format, [(whole, ["model.a.weight", "model.b.weight"])], ("model.a.weight", "m-00001-of-00002"), ("model.b.weight", "m-00002-of-00002"));
        Assert.Contains("2 files", Assert.Single(Load(folder, "model.a.weight", "model.b.weight")), StringComparison.Ordinal);
        using var both = Folder(format, [(whole, ["model.a.weight"]), ("s1", ["model.a.weight", "model.b.weight"])], ("model.a.weight", "s1"), ("model.b.weight", "s1"));
        Assert.Single(Load(both, "model.a.weight"));
        Assert.Single(Load(both, "model.a.weight", "model.b.weight"));
    }

    [Fact]
    public void A_file_that_the_index_omits_is_opened_where_it_is_needed()
    {
        using var folder = Folder("safetensors", [("a", ["model.a.weight"]), ("b", ["model.b.weight", "model.a.weight"]), ("c", ["c"]), ("consolidated", ["model.b.weight"]), ("sparse_linear", ["model.b.weight"])], ("model.a.weight", "a"));
        folder.Write("broken.safetensors", "x");
        Assert.Empty(Load(folder, "model.a.weight"));
        var warning = Assert.Single(Load(folder, "model.a.weight", "model.b.weight"));
        Assert.Contains("1 file ('b.safetensors') that the model needs was opened although the index does not lead to it", warning, StringComparison.Ordinal);
        var error = Assert.Throws<EngineException>(() => Load(folder, "model.a.weight", "model.z.weight"));
        Assert.Contains("missing model.z.weight", error.Message, StringComparison.Ordinal);
        Assert.Contains("broken.safetensors", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_of_two_omitted_files_is_an_error()
    {
        using var folder = Folder("safetensors", [("a", ["model.a.weight"]), ("b", ["model.b.weight"]), ("c", ["model.b.weight"])], ("model.a.weight", "a"));
        Assert.Contains("tensor 'model.b.weight' is in b.safetensors too", Assert.Throws<EngineException>(() => Load(folder, "model.a.weight", "model.b.weight")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("s1", 1)]
    [InlineData("s2", 2)]
    public void The_index_decides_between_two_files_that_hold_a_tensor(string file, float value)
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["s1.safetensors"], ("model.a.weight", 1), ("b", 1));
        SafetensorsSamples.WriteFile(folder["s2.safetensors"], ("model.a.weight", 2), ("c", 1));
        folder.Write(CheckpointIndex.FileName, $$$"""{"weight_map":{"b":"s1.safetensors","c":"s2.safetensors","model.a.weight":"{{{file}}}.safetensors"}}""");
        Assert.Contains("1 tensor ('model.a.weight') is in two files, and was read where the index says", Assert.Single(Load(folder, "model.a.weight", "b", "c")), StringComparison.Ordinal);
        using var checkpoint = Checkpoint.Open(folder.Path);
        var bytes = new byte[sizeof(float)];
        checkpoint.Tensors["model.a.weight"].File.Read(checkpoint.Tensors["model.a.weight"].Info, 0, bytes);
        Assert.Equal((value, 12), (BitConverter.ToSingle(bytes), checkpoint.TotalBytes));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("")]
    [InlineData("""{"weight_map":{"model.a.weight":null}}""")]
    public void Numbered_pickles_beside_an_index_of_no_use_are_read(string index)
    {
        using var folder = Folder("bin", [("pytorch_model-00001-of-00002", ["model.a.weight"]), ("pytorch_model-00002-of-00002", ["model.b.weight"]), ("training_args", ["x"])]);
        folder.Write(CheckpointIndex.PickleFileName, index);
        Assert.Contains("passed over", Assert.Single(Load(folder, "model.a.weight", "model.b.weight")), StringComparison.Ordinal);
        File.Delete(folder["pytorch_model-00002-of-00002.bin"]);
        Assert.Contains("pytorch_model-00002-of-00002.bin is missing", Assert.Throws<EngineException>(() => Load(folder, "model.a.weight")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("F4", 8)]
    [InlineData("F8_E4M3", 4)]
    [InlineData("C64", 1)]
    [InlineData("NF4", 3)]
    public void A_type_that_cannot_be_computed_with_is_an_error_only_where_it_is_needed(string type, int count)
    {
        using var folder = new TemporaryFolder();
        var bytes = type == "C64" ? 8 : 4;
        folder.Write("model.safetensors", SafetensorsSamples.File($$$$"""{"model.a.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"mtp.x":{"dtype":"{{{{type}}}}","shape":[{{{{count}}}}],"data_offsets":[4,{{{{4 + bytes}}}}]}}""", 4 + bytes));
        Assert.Contains("'mtp.x'", Assert.Single(Load(folder, "model.a.weight")), StringComparison.Ordinal);
        Assert.Matches($"mtp.x has type '?{type}'?, wanted F32, F16 or BF16", Assert.Throws<EngineException>(() => Load(folder, "model.a.weight", "mtp.x")).Message);
    }

    [Fact]
    public void A_link_to_nowhere_is_a_file_that_is_not_there()
    {
        using var folder = Folder("safetensors", [("s1", ["model.a.weight"])], ("model.a.weight", "s1"), ("mtp.x", "s2"));
        File.CreateSymbolicLink(folder["s2.safetensors"], folder["blobs/gone"]);
        Assert.Single(Load(folder, "model.a.weight"));
    }

    [Fact]
    public void An_index_that_agrees_with_its_files_is_no_warning()
    {
        using var folder = Folder("safetensors", [("s1", ["model.a.weight"])], ("model.a.weight", "s1"));
        Assert.Empty(Load(folder, "model.a.weight"));
    }

    // Ignoring these would silently change what the model computes.
    [Theory]
    [InlineData("model.layers.0.proj.bias")]
    [InlineData("model.layers.0.norm.weight")]
    [InlineData("model.layers.1.proj.weight")]
    [InlineData("model.layers.0.proj.lora.weight")]
    public void A_tensor_inside_the_model_that_it_does_not_read_stays_an_error(string name)
    {
        using var folder = Folder("safetensors", [("s1", ["model.layers.0.proj.weight", name])], ("model.layers.0.proj.weight", "s1"));
        Assert.Contains($"unexpected '{name}'", Assert.Throws<EngineException>(() => Load(folder, "model.layers.0.proj.weight")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_whose_index_is_wrong_in_every_harmless_way_answers_with_one_warning()
    {
        SuiteExecutor.SkipInAnotherProcess();
        using var folder = new TemporaryFolder();
        foreach (var file in Directory.EnumerateFiles(TestPaths.TinyR1))
            File.Copy(file, folder[Path.GetFileName(file)]);
        // The index names only the first of the file's tensors. Two of its names are in no file, and one file is absent.
        folder.Write(CheckpointIndex.FileName, """{"weight_map":{"model.embed_tokens.weight":"model.safetensors","mtp.fc.weight":"model.safetensors","mtp.norm.weight":"mtp.safetensors"}}""");
        using var logs = new CollectedLogs();
        await using var engine = await SuiteExecutor.LoadAsync(new EngineOptions { ModelPath = folder.Path, LoggerFactory = logs }, null, TestContext.Current.CancellationToken);
        var result = await engine.CompleteAsync(GenerationRequest.FromChat([new("user", "What is 58 + 27?")], new() { Temperature = 0 }), TestContext.Current.CancellationToken);
        Assert.Contains("85", result.Outputs[0].Text, StringComparison.Ordinal);
        Assert.Single(logs.Warnings, warning => warning.Contains("not named by the index", StringComparison.Ordinal) && warning.Contains("'mtp.safetensors'", StringComparison.Ordinal));
    }

    private static TemporaryFolder Folder(string format, (string File, string[] Tensors)[] files, params (string Tensor, string File)[] index)
    {
        var folder = new TemporaryFolder();
        foreach (var (file, tensors) in files)
        {
            (string, float)[] content = [.. tensors.Select(name => (name, 1f))];
            if (format == "bin")
                TorchSamples.WriteFile(folder[file + ".bin"], content);
            else
                SafetensorsSamples.WriteFile(folder[file + ".safetensors"], content);
        }

        var map = string.Join(",", index.Select(entry => $"\"{entry.Tensor}\":\"{entry.File}.{format}\""));
        folder.Write(format == "bin" ? CheckpointIndex.PickleFileName : CheckpointIndex.FileName, "{\"weight_map\":{" + map + "}}");
        return folder;
    }

    private static List<string> Load(TemporaryFolder folder, params string[] needed)
    {
        using var checkpoint = Checkpoint.Open(folder.Path);
        var registry = new WeightRegistry();
        foreach (var name in needed)
            registry.Add(WeightSpec.Whole(name, 1), tensor => tensor.alias());
        using var logs = new CollectedLogs();
        WeightLoader.Load(registry, checkpoint, ScalarType.Float32, null, null, TestContext.Current.CancellationToken, logs.CreateLogger("weights"));
        return logs.Warnings;
    }
}
