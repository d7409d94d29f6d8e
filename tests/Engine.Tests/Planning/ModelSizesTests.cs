using System.Text;
using LocalLlm.Parallel;
using LocalLlm.Planning;
using Xunit;

namespace LocalLlm.Tests.Planning;

public class ModelSizesTests
{
    // The totals that the hubs state for the published files; for V3 without the 14 B of its layer for speculation.
    [Theory]
    [InlineData(PublishedConfigs.Qwen1B, 1_777_088_000)]
    [InlineData(PublishedConfigs.Qwen7B, 7_615_616_512)]
    [InlineData(PublishedConfigs.Qwen14B, 14_770_033_664)]
    [InlineData(PublishedConfigs.Qwen32B, 32_763_876_352)]
    [InlineData(PublishedConfigs.Llama8B, 8_030_261_248)]
    [InlineData(PublishedConfigs.Llama70B, 70_553_706_496)]
    [InlineData(PublishedConfigs.Llama1B, 1_235_814_400)]
    [InlineData(PublishedConfigs.Mixtral, 46_702_792_704)]
    [InlineData(PublishedConfigs.Qwen30BExperts, 30_532_122_624)]
    [InlineData(PublishedConfigs.V2Lite, 15_706_484_224)]
    [InlineData(PublishedConfigs.V2, 235_741_434_880)]
    [InlineData(PublishedConfigs.V3, 671_026_419_200)]
    public void The_parameters_of_a_published_model_are_counted_from_its_configuration(string config, long parameters) =>
        Assert.Equal(parameters, new ModelParts(PublishedConfigs.Shape(config)).Parameters);

    [Theory]
    [InlineData(PublishedConfigs.V3, 37.5)]
    [InlineData(PublishedConfigs.V2, 21.4)]
    [InlineData(PublishedConfigs.Mixtral, 12.9)]
    [InlineData(PublishedConfigs.Qwen30BExperts, 3.35)]
    public void A_token_is_computed_by_the_experts_that_it_is_routed_to(string config, double billions) =>
        Assert.Equal(billions, new ModelParts(PublishedConfigs.Shape(config)).ActiveParameters / 1e9, 0.15);

    [Theory]
    [InlineData(PublishedConfigs.Qwen7B, 1, 57_344)] // 28 layers x 2 x 4 heads x 128 x 2 bytes
    [InlineData(PublishedConfigs.Qwen7B, 4, 14_336)]
    [InlineData(PublishedConfigs.Qwen7B, 28, 14_336)] // every rank that shares a head has it
    [InlineData(PublishedConfigs.Llama70B, 1, 327_680)]
    [InlineData(PublishedConfigs.V3, 1, 70_272)] // 61 layers x (512 + 64) x 2 bytes
    [InlineData(PublishedConfigs.V3, 8, 70_272)] // every rank keeps the latent vectors
    public void A_token_keeps_so_many_bytes_on_a_rank(string config, int ranks, long bytes)
    {
        var shape = PublishedConfigs.Shape(config);
        Assert.Equal(bytes, shape.Layers * shape.KvElements(ranks) * 2);
    }

    [Fact]
    public void Quantised_matrices_have_a_byte_an_element_and_a_scale_a_block_and_the_rest_has_two()
    {
        var parts = new ModelParts(PublishedConfigs.Shape(PublishedConfigs.V3));
        var all = parts.Bytes(parts.Embedding.Concat(parts.Head).Concat(parts.FinalNorm), StageSplit.None, 2) + Enumerable.Range(0, 61).Sum(layer => parts.Bytes(parts.Layer(layer), StageSplit.None, 2));
        // One byte per element; one more for embedding, head, norms and kv_b_proj, three more for routers; and 4 bytes per 16,384 elements.
        var (vocabulary, routers, absorbed) = (2L * 129_280 * 7168, 58L * 256 * 7168, 61L * 128 * 256 * 512);
        var wanted = parts.Parameters + vocabulary + (3 * routers) + absorbed + ((parts.Parameters - vocabulary - routers) / 4096);
        Assert.InRange(all, wanted, wanted * 1.0001);
    }

    [Theory]
    [InlineData(PublishedConfigs.Qwen7B, 2)]
    [InlineData(PublishedConfigs.Qwen7B, 4)]
    [InlineData(PublishedConfigs.Qwen32B, 8)]
    [InlineData(PublishedConfigs.Llama70B, 8)]
    [InlineData(PublishedConfigs.Llama70B, 16)]
    [InlineData(PublishedConfigs.V2Lite, 8)]
    [InlineData(PublishedConfigs.Mixtral, 4)]
    public void The_ranks_of_a_group_hold_all_weights_once_and_more_only_of_what_is_not_split(string config, int ranks)
    {
        var parts = new ModelParts(PublishedConfigs.Shape(config));
        var shape = parts.Shape;
        foreach (var part in parts.Embedding.Concat(parts.Head).Concat(parts.FinalNorm).Concat(Enumerable.Range(0, shape.Layers).SelectMany(parts.Layer)))
        {
            var held = ranks * part.BytesOn(ranks, shape.KvHeads, 2, null);
            var once = part.BytesOn(1, shape.KvHeads, 2, null);
            var expected = part.Split switch
            {
                PartSplit.None => once * ranks,
                PartSplit.KvHeads => once * Math.Max(1, ranks / shape.KvHeads),
                PartSplit.Vocabulary => once / part.Rows * ShardRange.VocabularyShare((int)part.Rows, ranks) * ranks,
                _ => once,
            };
            Assert.Equal(expected, held);
        }
    }

    [Fact]
    public void The_sizes_of_a_model_on_disk_are_those_of_its_files()
    {
        var shape = ModelShapeReader.Load(TestPaths.TinyR1);
        using var checkpoint = LocalLlm.Weights.Checkpoint.Open(TestPaths.TinyR1);
        Assert.Equal(HeaderSizes.Of(checkpoint.Tensors.Values.Select(tensor => tensor.Info), shape).Elements, new ModelParts(shape).Parameters);
        Assert.True(shape.IsRunnable);
    }

    [Theory]
    [InlineData("""{"model_type":"x","hidden_size":64}""", "num_hidden_layers: is missing")]
    [InlineData("""{"model_type":"x","hidden_size":-1,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":1,"intermediate_size":1}""", "hidden_size: found -1")]
    [InlineData("""{"model_type":"x","hidden_size":64,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":1,"intermediate_size":1,"quantization_config":{"quant_method":"awq"}}""", "quantization_config.quant_method: found 'awq'")]
    [InlineData("""{"model_type":"x","hidden_size":64,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":1,"intermediate_size":1,"quantization_config":{"quant_method":"fp8","weight_block_size":[0,1]}}""", "weight_block_size")]
    [InlineData("""{"model_type":"x","hidden_size":64,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":1,"n_routed_experts":8}""", "num_experts_per_tok")]
    [InlineData("[]", "object was wanted")]
    public void A_configuration_without_sizes_is_refused_by_its_field(string config, string says)
    {
        var refusal = Assert.Throws<EngineException>(() => ModelShapeReader.Parse(Encoding.UTF8.GetBytes(config)));
        Assert.Equal(EngineErrorKind.ModelFolder, refusal.Kind);
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
    }
}
