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
