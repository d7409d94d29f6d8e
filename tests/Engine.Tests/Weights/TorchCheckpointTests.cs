using LocalLlm.Tests.Execution;
using LocalLlm.Weights;
using Xunit;

namespace LocalLlm.Tests.Weights;

/// <summary>Model folders that hold PyTorch's own format: used only where there are no safetensors.</summary>
public class TorchCheckpointTests
{
    private const string Single = "pytorch_model.bin";
    private const string Index = "pytorch_model.bin.index.json";

    private static float ValueOf(Checkpoint checkpoint, string name)
    {
        var bytes = new byte[sizeof(float)];
        checkpoint.Tensors[name].File.Read(checkpoint.Tensors[name].Info, 0, bytes);
        return BitConverter.ToSingle(bytes);
    }

    private static string Refused(TemporaryFolder folder)
    {
        var error = Assert.Throws<EngineException>(() => Checkpoint.Open(folder.Path));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        return error.Message;
    }

    [Fact]
    public void A_single_file_is_a_checkpoint()
    {
        using var folder = new TemporaryFolder();
        TorchSamples.WriteFile(folder[Single], ("a", 1), ("b", 2));
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal(2, ValueOf(checkpoint, "b"));
        Assert.Equal(8, checkpoint.TotalBytes);
        Assert.Equal(Single, checkpoint.FileName);
    }

    [Fact]
    public void Shards_are_found_through_the_index()
    {
        using var folder = new TemporaryFolder();
        TorchSamples.WriteFile(folder["pytorch_model-00001-of-00002.bin"], ("a", 1));
        TorchSamples.WriteFile(folder["pytorch_model-00002-of-00002.bin"], ("b", 2));
        folder.Write(Index, """{"weight_map":{"a":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}}""");
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal([1, 2], [ValueOf(checkpoint, "a"), ValueOf(checkpoint, "b")]);
        Assert.Equal(2, checkpoint.Files.Count);
    }

    [Theory]
    [InlineData("../evil.bin")]
    [InlineData("sub/model.bin")]
    [InlineData("model.safetensors")]
    [InlineData("model.pt")]
    [InlineData("model.ckpt")]
    [InlineData(".bin")]
    public void An_index_may_only_name_plain_files_of_its_own_kind(string shard)
    {
        using var outer = new TemporaryFolder();
        Directory.CreateDirectory(outer["model/sub"]);
        foreach (var path in (string[])["evil.bin", "model/sub/model.bin", "model/model.pt", "model/model.ckpt"])
            TorchSamples.WriteFile(outer[path], ("a", 1));
        outer.Write("model/" + Index, $$$"""{"weight_map":{"a":"{{{shard}}}"}}""");
        var message = Assert.Throws<EngineException>(() => Checkpoint.Open(outer["model"])).Message;
        Assert.StartsWith(Index, message, StringComparison.Ordinal);
        Assert.Contains("weight_map: 'a': found shard", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("other.safetensors")]
    public void Where_there_are_safetensors_no_pickle_is_opened(string name)
    {
        // Links to nowhere: opening them would be an error.
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder[name], ("a", 1));
        foreach (var pickle in (string[])[Single, Index, "pytorch_model-00001-of-00001.bin"])
            File.CreateSymbolicLink(folder[pickle], "/proc/self/mem");
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal(1, ValueOf(checkpoint, "a"));
        Assert.All(checkpoint.Files, file => Assert.IsType<SafetensorsFile>(file));
    }

    [Fact]
    public void Damaged_safetensors_are_an_error_and_no_reason_to_open_a_pickle()
    {
        using var folder = new TemporaryFolder();
        TorchSamples.WriteFile(folder[Single], ("a", 1));
        folder.Write("model.safetensors", "x");
        Assert.StartsWith("model.safetensors", Refused(folder), StringComparison.Ordinal);
        folder.Write("model.safetensors", SafetensorsSamples.File("{}", 0));
        Assert.Contains("no tensor", Refused(folder), StringComparison.Ordinal);
    }

    [Fact]
    public void A_pickle_that_would_run_code_is_refused_and_runs_none()
    {
        using var folder = new TemporaryFolder();
        folder.Write(Single, TorchSamples.Archive(PickleBytes.Start().Global("posix", "system").Text($"touch {folder["ran"]}").Raw(0x85).Op('R').Stop()));
        var message = Refused(folder);
        Assert.StartsWith(Single + ": data.pkl: byte 2: found the global 'posix system'", message, StringComparison.Ordinal);
        Assert.Contains("convert it to safetensors", message, StringComparison.Ordinal);
        Assert.False(File.Exists(folder["ran"]));
    }

    [Fact]
    public void Every_bad_shard_is_named_in_one_error()
    {
        using var folder = new TemporaryFolder();
        TorchSamples.WriteFile(folder["s1.bin"], ("a", 1), ("extra", 1));
        folder.Write("s2.bin", "x");
        folder.Write(Index, """{"weight_map":{"a":"s1.bin","b":"s2.bin","c":"s3.bin","gone":"s1.bin"}}""");
        var message = Refused(folder);
        Assert.StartsWith(Index + ": 2 problems:", message, StringComparison.Ordinal);
        Assert.All((string[])["s2.bin: does not begin", "s3.bin: is missing"], words => Assert.Contains(words, message, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_model_answers_the_same_from_either_format()
    {
        using var folder = new TemporaryFolder();
        foreach (var file in Directory.EnumerateFiles(TestPaths.TinyR1).Where(file => !file.EndsWith(".safetensors", StringComparison.Ordinal)))
            File.Copy(file, folder[Path.GetFileName(file)]);
        using (var weights = SafetensorsFile.Open(Path.Combine(TestPaths.TinyR1, "model.safetensors")))
            File.WriteAllBytes(folder[Single], Converted(weights));
        Assert.Equal(await Answer(TestPaths.TinyR1), await Answer(folder.Path));

        var config = await File.ReadAllTextAsync(folder["config.json"], TestContext.Current.CancellationToken);
        folder.Write("config.json", config.Replace("\"num_hidden_layers\": 8", "\"num_hidden_layers\": 9", StringComparison.Ordinal));
        var failure = await Assert.ThrowsAsync<EngineException>(() => Answer(folder.Path));
        Assert.StartsWith(Single + ": the weights do not fit config.json", failure.Message, StringComparison.Ordinal);
    }

    private static async Task<string> Answer(string folder)
    {
        await using var engine = await SuiteExecutor.LoadAsync(new EngineOptions { ModelPath = folder, Device = "cpu" }, cancellationToken: TestContext.Current.CancellationToken);
        var request = GenerationRequest.FromText("What is 58 + 27?") with { Sampling = new() { Temperature = 0, MaxTokens = 16 } };
        return (await engine.CompleteAsync(request, TestContext.Current.CancellationToken)).Outputs[0].Text;
    }

    private static byte[] Converted(SafetensorsFile weights)
    {
        var pickle = TorchSamples.Start();
        var entries = new List<(string, byte[])>();
        foreach (var tensor in weights.Tensors.Values)
        {
            Assert.Equal(SafetensorsDtype.BF16, tensor.Dtype);
            var strides = tensor.Shape.Select((_, i) => tensor.Shape[(i + 1)..].Aggregate(1L, (a, b) => a * b)).ToArray();
            pickle.Text(tensor.Name).Tensor("BFloat16Storage", $"{entries.Count}", tensor.ByteLength / 2, 0, tensor.Shape, strides);
            entries.Add(($"archive/data/{entries.Count}", weights.Bytes(tensor).ToArray()));
        }

        return ZipSample.Of([("archive/data.pkl", pickle.Op('u').Stop()), .. entries]).Bytes;
    }
}
