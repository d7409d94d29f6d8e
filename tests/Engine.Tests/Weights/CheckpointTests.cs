using LocalLlm.Weights;
using Xunit;

namespace LocalLlm.Tests.Weights;

public class CheckpointTests
{
    private const string Single = "model.safetensors";
    private const string Index = "model.safetensors.index.json";

    private static string IndexOf(params (string Tensor, string Shard)[] map) =>
        "{\"metadata\":{\"total_size\":8},\"weight_map\":{" + string.Join(",", map.Select(m => $"\"{m.Tensor}\":\"{m.Shard}\"")) + "}}";

    private static string Refused(TemporaryFolder folder)
    {
        var error = Assert.Throws<EngineException>(() => Checkpoint.Open(folder.Path));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        return error.Message;
    }

    private static float ValueOf(Checkpoint checkpoint, string name)
    {
        Assert.True(checkpoint.TryGet(name, out var tensor));
        var bytes = new byte[sizeof(float)];
        tensor.File.Read(tensor.Info, 0, bytes);
        return BitConverter.ToSingle(bytes);
    }

    [Fact]
    public void A_single_file_is_a_checkpoint()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder[Single], ("a", 1), ("b", 2));
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal(2, ValueOf(checkpoint, "b"));
        Assert.Equal(2, checkpoint.Tensors.Count);
        Assert.Equal(8, checkpoint.TotalBytes);
        Assert.False(checkpoint.TryGet("c", out _));
    }

    [Fact]
    public void Shards_are_found_through_the_index()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["model-00001-of-00002.safetensors"], ("a", 1));
        SafetensorsSamples.WriteFile(folder["model-00002-of-00002.safetensors"], ("b", 2), ("c", 3));
        SafetensorsSamples.WriteFile(folder["consolidated.safetensors"], ("not.looked.at", 4));
        folder.Write(Index, IndexOf(("a", "model-00001-of-00002.safetensors"), ("b", "model-00002-of-00002.safetensors"), ("c", "model-00002-of-00002.safetensors")));
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal(["a", "b", "c"], checkpoint.Tensors.Keys.Order());
        Assert.Equal(3, ValueOf(checkpoint, "c"));
        Assert.Equal(2, checkpoint.Files.Count);
        Assert.Equal(12, checkpoint.TotalBytes);
    }

    [Fact]
    public void Without_index_all_safetensors_files_belong_together()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["model-00001-of-00002.safetensors"], ("a", 1));
        SafetensorsSamples.WriteFile(folder["model-00002-of-00002.safetensors"], ("b", 2));
        SafetensorsSamples.WriteFile(folder["consolidated.00.safetensors"], ("a", 4));
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal(1, ValueOf(checkpoint, "a"));
        Assert.Equal(2, checkpoint.Tensors.Count);
    }

    [Fact]
    public void A_file_of_any_name_will_do()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["consolidated.safetensors"], ("a", 4));
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal(4, ValueOf(checkpoint, "a"));
    }

    [Fact]
    public void Hugging_Faces_cache_of_links_opens()
    {
        using var cache = new TemporaryFolder();
        Directory.CreateDirectory(cache["blobs"]);
        Directory.CreateDirectory(cache["snapshots/x"]);
        SafetensorsSamples.WriteFile(cache["blobs/0a"], ("a", 7));
        cache.Write("blobs/0b", IndexOf(("a", "s.safetensors")));
        File.CreateSymbolicLink(cache["snapshots/x/s.safetensors"], "../../blobs/0a");
        File.CreateSymbolicLink(cache["snapshots/x/" + Index], "../../blobs/0b");
        using var checkpoint = Checkpoint.Open(cache["snapshots/x"]);
        Assert.Equal(7, ValueOf(checkpoint, "a"));
    }

    [Theory]
    [InlineData("training_args.bin")]
    [InlineData("pytorch_model-00001-of-00002.bin")]
    [InlineData("Pytorch_model.bin")]
    [InlineData("consolidated.00.pth")]
    [InlineData("pytorch_model.pt")]
    [InlineData("pytorch_model.bin.ckpt")]
    [InlineData("sparse_linear.pt")]
    [InlineData("model.ckpt")]
    [InlineData("MODEL.PKL")]
    public void A_pickle_of_another_name_is_refused_unread(string name)
    {
        using var folder = new TemporaryFolder();
        // A link to nowhere: opening it would be an error.
        File.CreateSymbolicLink(folder[name], "nowhere");
        var message = Refused(folder);
        Assert.Contains(name, message, StringComparison.Ordinal);
        Assert.Contains("pickle", message, StringComparison.Ordinal);
        Assert.Contains("not opened", message, StringComparison.Ordinal);
        Assert.Contains("Convert the checkpoint to safetensors", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pickle_beside_safetensors_is_left_alone()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder[Single], ("a", 1));
        folder.Write("pytorch_model.bin", "x");
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.All(checkpoint.Files, file => Assert.EndsWith(".safetensors", file.Path, StringComparison.Ordinal));
    }

    [Fact]
    public void An_empty_folder_and_no_folder_are_refused()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains(Single, Refused(folder), StringComparison.Ordinal);
        folder.Write("model.gguf", "GGUF");
        Assert.Contains("GGUF", Refused(folder), StringComparison.Ordinal);
        Assert.Contains("is not a folder", Assert.Throws<EngineException>(() => Checkpoint.Open(folder["nowhere"])).Message, StringComparison.Ordinal);
        folder.Write(Single, SafetensorsSamples.File("{}", 0));
        Assert.Contains("no tensor", Refused(folder), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("PARENT", "../evil.safetensors")]
    [InlineData("PARENT_INSIDE", "a/../../evil.safetensors")]
    [InlineData("SUBFOLDER", "sub/model.safetensors")]
    [InlineData("ABSOLUTE", "/etc/evil.safetensors")]
    [InlineData("BACKSLASH", "..\\\\evil.safetensors")]
    [InlineData("DRIVE", "C:evil.safetensors")]
    [InlineData("NUL", "model\\u0000.safetensors")]
    [InlineData("NEW_LINE", "model\\n.safetensors")]
    [InlineData("DOTS", "..")]
    [InlineData("HIDDEN", ".safetensors")]
    [InlineData("EMPTY", "")]
    [InlineData("PICKLE", "pytorch_model.bin")]
    [InlineData("NO_SUFFIX", "model")]
    public void An_index_may_only_name_plain_safetensors_files(string name, string shard)
    {
        Assert.NotEmpty(name);
        // The files that the paths lead to exist: only the rule about names keeps them out.
        using var outer = new TemporaryFolder();
        Directory.CreateDirectory(outer["model/sub"]);
        foreach (var path in (string[])["evil.safetensors", "model/model.safetensors", "model/sub/model.safetensors"])
            SafetensorsSamples.WriteFile(outer[path], ("a", 1));
        outer.Write("model/" + Index, IndexOf(("a", shard)));
        var error = Assert.Throws<EngineException>(() => Checkpoint.Open(outer["model"]));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        var message = error.Message;
        Assert.StartsWith(Index, message, StringComparison.Ordinal);
        Assert.Contains("weight_map: 'a': found shard", message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string, string> BadIndexes => new()
    {
        { "EMPTY_FILE", "", "is empty" },
        { "NOT_JSON", "{", "not valid JSON" },
        { "TRAILING", "{\"weight_map\":{\"a\":\"m.safetensors\"}}}", "not valid JSON" },
        { "TOP_IS_LIST", "[]", "StartArray" },
        { "NO_WEIGHT_MAP", "{\"metadata\":{}}", "weight_map: is missing" },
        { "WEIGHT_MAP_NULL", "{\"weight_map\":null}", "weight_map: found JSON Null" },
        { "WEIGHT_MAP_EMPTY", "{\"weight_map\":{}}", "weight_map: is empty" },
        { "WEIGHT_MAP_TWICE", "{\"weight_map\":{\"a\":\"m.safetensors\"},\"weight_map\":{}}", "weight_map: occurs twice" },
        { "SHARD_IS_NUMBER", "{\"weight_map\":{\"a\":1}}", "'a': found JSON Number" },
        { "SHARD_IS_LIST", "{\"weight_map\":{\"a\":[\"m.safetensors\"]}}", "'a': found JSON StartArray" },
        { "TENSOR_TWICE", "{\"weight_map\":{\"a\":\"m.safetensors\",\"a\":\"m.safetensors\"}}", "'a': the tensor occurs twice" },
        { "SHARD_IS_NULL", "{\"weight_map\":{\"a\":null,\"b\":\"m.safetensors\"}}", "'a': found JSON Null" },
        { "WEIGHT_MAP_LIST", "{\"weight_map\":[]}", "weight_map: found JSON StartArray" },
        { "HTML", "<!DOCTYPE html>", "not valid JSON" },
        { "LONE_SURROGATE", "{\"weight_map\":{\"\\udfff\":\"m.safetensors\"}}", "not valid JSON" },
        { "DEPTH_BOMB", "{\"metadata\":" + new string('[', 1000), "not valid JSON" },
        { "BYTE_ORDER_MARK", "\uFEFF{\"weight_map\":{\"a\":\"m.safetensors\"}}", "byte order mark" },
        { "LONG_NAME", "{\"weight_map\":{\"a\":\"" + new string('m', 300) + ".safetensors\"}}", "'a': found shard" },
    };

    [Theory]
    [MemberData(nameof(BadIndexes))]
    public void Without_files_to_read_a_bad_index_is_named(string name, string text, string words)
    {
        Assert.NotEmpty(name);
        using var folder = new TemporaryFolder();
        folder.Write(Index, text);
        var message = Refused(folder);
        Assert.StartsWith(Index, message, StringComparison.Ordinal);
        Assert.Contains(words, message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(BadIndexes))]
    public void A_bad_index_beside_whole_files_is_passed_over(string name, string text, string words)
    {
        using var folder = new TemporaryFolder();
        // One of the files that the bad indexes name exists.
        SafetensorsSamples.WriteFile(folder["m.safetensors"], ("a", 1));
        SafetensorsSamples.WriteFile(folder["n.safetensors"], ("b", 2));
        folder.Write(Index, text);
        if (name == "LONG_NAME")
        {
            Assert.Contains(words, Refused(folder), StringComparison.Ordinal);
            return;
        }

        using var checkpoint = Checkpoint.Open(folder.Path);
        checkpoint.LookFurther(["b"]);
        Assert.Equal(["a", "b"], checkpoint.Tensors.Keys.Order());
        Assert.Contains(checkpoint.Differences!.Sentences(), sentence => sentence.Contains(words, StringComparison.Ordinal) && sentence.EndsWith("passed over", StringComparison.Ordinal));
    }

    [Fact]
    public void Everything_wrong_with_the_files_of_an_index_is_listed_in_one_error()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["s1.safetensors"], ("a", 1), ("extra", 1), ("moved", 1));
        SafetensorsSamples.WriteFile(folder["s2.safetensors"], ("b", 1));
        folder.Write("s3.safetensors", SafetensorsSamples.File("{]", 0));
        folder.Write(Index, IndexOf(
            ("a", "s1.safetensors"), ("b", "s2.safetensors"), ("gone", "s1.safetensors"),
            ("moved", "s2.safetensors"), ("c", "s3.safetensors"), ("d", "s4.safetensors")));
        var message = Refused(folder);
        Assert.StartsWith(Index + ": 2 problems:", message, StringComparison.Ordinal);
        Assert.Contains("s3.safetensors: header: is not valid JSON", message, StringComparison.Ordinal);
        Assert.Contains("s4.safetensors: is missing", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_long_list_of_problems_is_cut_and_counted()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["s.safetensors"], [.. Enumerable.Range(0, 100).Select(i => ($"t{i}", 1f))]);
        SafetensorsSamples.WriteFile(folder["t.safetensors"], [.. Enumerable.Range(0, 100).Select(i => ($"t{i}", 1f))]);
        var message = Refused(folder);
        Assert.Contains("100 problems", message, StringComparison.Ordinal);
        Assert.Equal(22, message.Split('\n').Length);
        Assert.EndsWith("- and 80 more", message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_index_whose_files_are_all_absent_is_refused_with_their_names()
    {
        using var folder = new TemporaryFolder();
        folder.Write(Index, IndexOf(("a", "s1.safetensors"), ("b", "s2.safetensors")));
        var message = Refused(folder);
        Assert.Contains("s1.safetensors: is missing", message, StringComparison.Ordinal);
        Assert.Contains("s2.safetensors: is missing", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_in_place_of_a_file_of_the_index_is_refused()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["s1.safetensors"], ("a", 1));
        Directory.CreateDirectory(folder["s2.safetensors"]);
        folder.Write(Index, IndexOf(("a", "s1.safetensors"), ("mtp.b", "s2.safetensors")));
        Assert.Contains("s2.safetensors: is missing, or is not a file", Refused(folder), StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_tensor_in_two_files_without_index_is_refused()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["x.safetensors"], ("a", 1));
        SafetensorsSamples.WriteFile(folder["y.safetensors"], ("a", 2));
        Assert.Contains("y.safetensors: tensor 'a' is in x.safetensors too", Refused(folder), StringComparison.Ordinal);
    }

    [Fact]
    public void Numbered_shards_that_did_not_arrive_are_named_without_an_index_too()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["model-00002-of-00003.safetensors"], ("a", 1));
        var message = Refused(folder);
        Assert.Contains("model-00001-of-00003.safetensors", message, StringComparison.Ordinal);
        Assert.Contains("model-00003-of-00003.safetensors", message, StringComparison.Ordinal);
        Assert.DoesNotContain("model-00002-of-00003.safetensors", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_real_index_of_a_32B_model_is_read()
    {
        var text = File.ReadAllBytes(Path.Combine(TestPaths.Shared("data", "tokenizers", "deepseek-r1-distill-qwen-32b"), Index));
        var index = CheckpointIndex.Parse(text);
        Assert.Equal(8, index.Shards.Count);
        Assert.Equal(771, index.WeightMap.Count);
        Assert.Equal("model-00001-of-000008.safetensors", index.WeightMap["model.embed_tokens.weight"]);
    }

    [Fact]
    public void Disposing_closes_every_file()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["x.safetensors"], ("a", 1));
        SafetensorsSamples.WriteFile(folder["y.safetensors"], ("b", 2));
        var checkpoint = Checkpoint.Open(folder.Path);
        checkpoint.Dispose();
        Assert.Throws<ObjectDisposedException>(() => ValueOf(checkpoint, "a"));
        Assert.Throws<ObjectDisposedException>(() => ValueOf(checkpoint, "b"));
    }
}
