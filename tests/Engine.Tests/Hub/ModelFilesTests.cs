using LocalLlm.Hub;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Hub;

public class ModelFilesTests
{
    [Fact]
    public void Only_shards_that_the_index_names_are_needed()
    {
        using var folder = new TemporaryFolder();
        folder.Write(ModelFiles.IndexName, """{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-1.safetensors"}}""");
        Assert.Equal(
            ["model-1.safetensors", "model-2.safetensors"],
            Weights(folder[ModelFiles.IndexName], ModelFiles.IndexName, "model-1.safetensors", "model-2.safetensors", "old.safetensors", "consolidated.safetensors", "pytorch_model.bin"));
    }

    [Fact]
    public void Shards_of_a_pickle_are_needed_only_where_there_is_nothing_better()
    {
        string[] pickles = ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "training_args.bin"];
        using var folder = new TemporaryFolder();
        folder.Write(ModelFiles.PickleIndexName, """{"weight_map":{"a":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}}""");
        Assert.Equal(ModelFiles.PickleIndexName, ModelFiles.IndexOf(Listing(pickles))?.Path);
        Assert.Equal(pickles[1..3], Weights(folder[ModelFiles.PickleIndexName], pickles));
        Assert.Equal(pickles[1..3], Weights(folder[ModelFiles.PickleIndexName], [.. pickles, "pytorch_model.bin"]));
        Assert.Equal([ModelFiles.PickleIndexName], Texts(pickles));
        foreach (var better in (string[])["model.safetensors", "model-1.safetensors"])
        {
            Assert.Null(ModelFiles.IndexOf(Listing([.. pickles, better])));
            Assert.Equal([better], Weights(null, [.. pickles, better]));
            Assert.Empty(Texts([.. pickles, better]));
        }

        Assert.Equal(ModelFiles.IndexName, ModelFiles.IndexOf(Listing([.. pickles, ModelFiles.IndexName, "model-1.safetensors"]))?.Path);
        var refusal = Assert.Throws<EngineException>(() => Weights(folder[ModelFiles.PickleIndexName], pickles[..2]).ToArray());
        Assert.StartsWith("pytorch_model.bin.index.json: names 'pytorch_model-00002-of-00002.bin'", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void All_of_bge_m3_is_needed_except_other_formats_and_pictures()
    {
        string[] needed = ["1_Pooling/config.json", "config.json", "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"];
        string[] weights = ["colbert_linear.pt", "pytorch_model.bin", "sparse_linear.pt"];
        string[] all = [.. needed, .. weights, ".gitattributes", "README.md", "imgs/bm25.jpg", "long.jpg", "onnx/config.json", "onnx/model.onnx", "onnx/model.onnx_data", "onnx/tokenizer.json", "sentencepiece.bpe.model"];
        Assert.Equal(needed.Order(StringComparer.Ordinal), Texts(all).Order(StringComparer.Ordinal));
        Assert.Equal(weights, Weights(null, all).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("model.safetensors", "model.safetensors", "model.fp16.safetensors", "consolidated.safetensors", "original/x.safetensors", "pytorch_model.bin", "model.onnx", "x.gguf")]
    [InlineData("a.safetensors b.safetensors", "a.safetensors", "b.safetensors", "consolidated.00.safetensors", "pytorch_model.bin")]
    [InlineData("pytorch_model.bin", "pytorch_model.bin", "training_args.bin", "optimizer.pt")]
    [InlineData("colbert_linear.pt pytorch_model.bin sparse_linear.pt", "pytorch_model.bin", "sparse_linear.pt", "colbert_linear.pt", "onnx/model.onnx_data")]
    [InlineData("model.safetensors sparse_linear.pt", "model.safetensors", "pytorch_model.bin", "sparse_linear.pt")]
    [InlineData("2_Dense/model.safetensors model.safetensors", "2_Dense/model.safetensors", "model.safetensors")]
    public void A_pickle_is_needed_only_where_there_is_nothing_better(string expected, params string[] files) =>
        Assert.Equal(expected.Split(' '), Weights(null, files).Order(StringComparer.Ordinal));

    [Fact]
    public void Configuration_tokenizer_and_templates_are_needed()
    {
        string[] needed =
        [
            "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "chat_template.json",
            "modules.json", "1_Pooling/config.json", "config_sentence_transformers.json", "sentence_bert_config.json", "added_tokens.json",
        ];
        Assert.Equal(needed.Order(), Texts([.. needed, "README.md", ".gitattributes", "vocab.json", "merges.txt", "onnx/config.json", "original/params.json", "imgs/x.png"]).Order());
        Assert.Equal(["merges.txt", "tokenizer_config.json", "vocab.json"], Texts(["vocab.json", "merges.txt", "tokenizer_config.json"]).Order());
    }

    private static IEnumerable<string> Texts(string[] files) => ModelFiles.TextsOf(Listing(files)).Select(file => file.Path);

    private static IEnumerable<string> Weights(string? index, params string[] files) => ModelFiles.WeightsOf(Listing(files), index).Select(file => file.Path);

    private static Listing Listing(string[] files) => new("c", [.. files.Select(file => new RemoteFile(file, 1, null))]);
}
