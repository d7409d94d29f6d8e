using LocalLlm.Models;
using LocalLlm.Models.Rotary;
using Xunit;
using static LocalLlm.Tests.Models.ConfigSamples;

namespace LocalLlm.Tests.Models;

public class ModelConfigTests
{
    [Fact]
    public void The_shipped_model_is_read()
    {
        var config = (DecoderConfig)ModelConfig.Load(TestPaths.TinyR1);
        Assert.Equal("Qwen2ForCausalLM", config.Architecture);
        Assert.Equal((256, 768, 8, 4, 2, 64, 4096), (config.HiddenSize, config.IntermediateSize, config.NumHiddenLayers, config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim, config.VocabSize));
        Assert.Equal(1e-6, config.RmsNormEps);
        Assert.True(config.TieWordEmbeddings);
        Assert.Equal((true, false, false, false), (config.AttentionBias, config.AttentionOutputBias, config.MlpBias, config.QkNorm));
        Assert.Null(config.SlidingWindow);
        Assert.Equal(ModelDtype.BFloat16, config.Dtype);
        Assert.Equal([4072], config.EosTokenIds);
        Assert.Equal(new RopeConfig(), config.Rope);
        Assert.Equal(2048, config.MaxModelLength);
    }

    [Fact]
    public void Llama_3_1_is_read()
    {
        var config = (DecoderConfig)ModelConfig.Load(TestPaths.Shared("data", "tokenizers", "llama-3.1-8b-instruct"));
        Assert.Equal([128001, 128008, 128009], config.EosTokenIds);
        Assert.Equal(128000, config.BosTokenId);
        Assert.Equal(131_072, config.MaxModelLength);
        Assert.Equal(
            new RopeConfig { RopeType = RopeType.Llama3, Theta = 500_000, Factor = 8, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxPositionEmbeddings = 8192 },
            config.Rope);
        Assert.False(config.AttentionBias);
    }

    [Fact]
    public void R1_Distill_Qwen_32B_is_read_without_a_window()
    {
        var config = (DecoderConfig)ModelConfig.Load(TestPaths.Shared("data", "tokenizers", "deepseek-r1-distill-qwen-32b"));
        Assert.Equal((5120, 40, 8, 128), (config.HiddenSize, config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim));
        Assert.Null(config.SlidingWindow);
        Assert.Empty(config.SlidingLayers);
    }

    [Theory]
    [InlineData("qwen2-tied", 16, true)]
    [InlineData("qwen2-untied", 8, false)]
    [InlineData("llama-head-dim", 24, false)]
    [InlineData("llama-rope-llama3", 16, false)]
    [InlineData("qwen3", 32, true)]
    public void Golden_configurations_are_read(string name, int headDim, bool tied)
    {
        var config = (DecoderConfig)ModelConfig.Load(TestPaths.Shared("goldens", "random", name));
        Assert.Equal(headDim, config.HeadDim);
        Assert.Equal(tied, config.TieWordEmbeddings);
        Assert.Equal(ModelDtype.Float32, config.Dtype);
        Assert.Equal(name == "qwen3", config.QkNorm);
        Assert.Equal(name.StartsWith("qwen2", StringComparison.Ordinal), config.AttentionBias);
    }

    [Theory]
    [InlineData("xlm-roberta", "XLMRobertaModel")]
    public void An_unsupported_architecture_is_named_with_those_supported(string name, string architecture)
    {
        var error = Assert.Throws<EngineException>(() => ModelConfig.Load(TestPaths.Shared("goldens", "random", name)));
        Assert.Equal(
            $"config.json: architectures: found '{architecture}', which this build does not support; " +
            "wanted one of DeepseekV2ForCausalLM, DeepseekV3ForCausalLM, LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM",
            error.Message);
    }

    [Fact]
    public void Absent_fields_have_transformers_defaults()
    {
        var llama = Parse(Llama());
        Assert.Equal((8, 8, 2048, 1e-6), (llama.NumKeyValueHeads, llama.HeadDim, llama.MaxPositionEmbeddings, llama.RmsNormEps));
        Assert.Equal(1, llama.BosTokenId);
        Assert.Equal([2], llama.EosTokenIds);
        Assert.Equal((false, false, false, false, false), (llama.TieWordEmbeddings, llama.AttentionBias, llama.AttentionOutputBias, llama.MlpBias, llama.QkNorm));
        Assert.Null(llama.Dtype);
        Assert.Null(llama.SlidingWindow);
        Assert.Equal(new RopeConfig(), llama.Rope);

        var mistral = Parse(Mistral());
        Assert.Equal((131_072, 4096), (mistral.MaxPositionEmbeddings, mistral.SlidingWindow));

        var qwen2 = Parse(Qwen2());
        Assert.Equal((32_768, true, false, (int?)null), (qwen2.MaxPositionEmbeddings, qwen2.AttentionBias, qwen2.AttentionOutputBias, qwen2.BosTokenId));
        Assert.Empty(qwen2.EosTokenIds);

        var qwen3 = Parse(Qwen3());
        Assert.Equal((128, true, false), (qwen3.HeadDim, qwen3.QkNorm, qwen3.AttentionBias));
    }

    [Fact]
    public void An_explicit_null_is_absent_for_every_optional_field()
    {
        var config = Parse(Llama(
            ("num_key_value_heads", "null"), ("head_dim", "null"), ("rms_norm_eps", "null"), ("hidden_act", "null"), ("rope_scaling", "null"),
            ("rope_theta", "null"), ("rope_parameters", "null"), ("torch_dtype", "null"), ("quantization_config", "null"), ("text_config", "null"),
            ("tie_word_embeddings", "null"), ("attention_bias", "null"), ("layer_types", "null"), ("max_position_embeddings", "null")));
        Assert.Equal((8, 8), (config.NumKeyValueHeads, config.HeadDim));
        Assert.Equal(8, Parse(Qwen3(("head_dim", "null"))).HeadDim);
    }

    [Fact]
    public void An_explicit_null_token_id_means_none()
    {
        var config = Parse(Llama(("bos_token_id", "null"), ("eos_token_id", "null")));
        Assert.Null(config.BosTokenId);
        Assert.Empty(config.EosTokenIds);
    }

    [Fact]
    public void Without_architectures_the_model_type_decides()
    {
        Assert.Equal("Qwen3ForCausalLM", Parse(Qwen3(("architectures", null))).Architecture);
        Assert.Equal("MistralForCausalLM", Parse(Mistral(("architectures", "null"))).Architecture);
    }

    [Fact]
    public void The_first_supported_architecture_of_several_is_taken()
    {
        var config = Parse(Llama(("architectures", """["SomethingElse","Qwen2ForCausalLM","LlamaForCausalLM"]""")));
        Assert.Equal("Qwen2ForCausalLM", config.Architecture);
        Assert.Equal(3, config.Architectures.Count);
    }

    [Theory]
    [InlineData("llama", "true", true, true)]
    [InlineData("llama", "false", false, false)]
    [InlineData("mistral", "true", true, true)]
    [InlineData("qwen3", "true", true, true)]
    [InlineData("qwen3", "false", false, false)]
    [InlineData("qwen2", "false", true, false)]
    [InlineData("qwen2", "true", true, false)]
    public void Attention_bias_follows_the_architecture(string type, string value, bool qkv, bool output)
    {
        var change = ("attention_bias", value);
        var config = Parse(type switch { "llama" => Llama(change), "mistral" => Mistral(change), "qwen2" => Qwen2(change), _ => Qwen3(change) });
        Assert.Equal((qkv, output), (config.AttentionBias, config.AttentionOutputBias));
    }

    [Fact]
    public void Qkv_bias_concerns_the_inputs_only()
    {
        var config = Parse(Llama(("qkv_bias", "true")));
        Assert.Equal((true, false), (config.AttentionBias, config.AttentionOutputBias));
        Assert.False(Parse(Qwen2(("qkv_bias", "false"))).AttentionBias);
    }

    [Theory]
    [InlineData("\"float32\"", ModelDtype.Float32)]
    [InlineData("\"float16\"", ModelDtype.Float16)]
    [InlineData("\"bfloat16\"", ModelDtype.BFloat16)]
    [InlineData("\"torch.bfloat16\"", ModelDtype.BFloat16)]
    internal void Both_names_of_the_dtype_are_read(string value, ModelDtype dtype)
    {
        Assert.Equal(dtype, Parse(Llama(("torch_dtype", value))).Dtype);
        Assert.Equal(dtype, Parse(Llama(("dtype", value))).Dtype);
        Assert.Equal(dtype, Parse(Llama(("dtype", value), ("torch_dtype", "\"int4\""))).Dtype);
    }

    [Fact]
    public void Mistrals_window_is_on_every_layer_unless_null()
    {
        var config = Parse(Mistral(("sliding_window", "17")));
        Assert.Equal([17, 17, 17, 17], Enumerable.Range(0, 4).Select(layer => config.SlidingWindowAt(layer)!.Value));
        Assert.Null(Parse(Mistral(("sliding_window", "null"))).SlidingWindow);
        Assert.Null(Parse(Mistral(("sliding_window", "null"))).SlidingWindowAt(3));
    }

    [Fact]
    public void Qwens_window_needs_its_switch_and_begins_at_max_window_layers()
    {
        foreach (var make in (Func<(string, string?)[], string>[])[Qwen2, Qwen3])
        {
            Assert.Null(Parse(make([("sliding_window", "17"), ("max_window_layers", "0")])).SlidingWindow);
            Assert.Null(Parse(make([("sliding_window", "17"), ("use_sliding_window", "false"), ("max_window_layers", "0")])).SlidingWindow);
            Assert.Null(Parse(make([("sliding_window", "null"), ("use_sliding_window", "true"), ("max_window_layers", "0")])).SlidingWindow);
            Assert.Null(Parse(make([("sliding_window", "17"), ("use_sliding_window", "true")])).SlidingWindow);
            var config = Parse(make([("sliding_window", "17"), ("use_sliding_window", "true"), ("max_window_layers", "3")]));
            Assert.Equal([null, null, null, 17], Enumerable.Range(0, 4).Select(config.SlidingWindowAt));
            Assert.Equal(4096, Parse(make([("use_sliding_window", "true"), ("max_window_layers", "0")])).SlidingWindow);
        }
    }

    [Fact]
    public void Layer_types_override_max_window_layers()
    {
        const string Types = """["sliding_attention","full_attention","sliding_attention","full_attention"]""";
        var config = Parse(Qwen2(("layer_types", Types), ("sliding_window", "9"), ("use_sliding_window", "true"), ("max_window_layers", "4")));
        Assert.Equal([9, null, 9, null], Enumerable.Range(0, 4).Select(config.SlidingWindowAt));
        Assert.Equal([true, false, true, false], Parse(Mistral(("layer_types", Types), ("sliding_window", "9"))).SlidingLayers);
        const string Full = """["full_attention","full_attention","full_attention","full_attention"]""";
        Assert.Null(Parse(Qwen3(("layer_types", Full), ("sliding_window", "9"), ("use_sliding_window", "true"), ("max_window_layers", "0"))).SlidingWindow);
        Assert.Null(Parse(Llama(("layer_types", Full))).SlidingWindow);
    }

    [Fact]
    public void A_window_on_a_Llama_is_not_read()
    {
        Assert.Null(Parse(Llama(("sliding_window", "17"))).SlidingWindow);
    }

    [Fact]
    public void Fields_that_name_code_and_unknown_fields_are_never_followed()
    {
        var config = Parse(Llama(
            ("auto_map", """{"AutoConfig":"evil--repo.Evil"}"""), ("trust_remote_code", "true"), ("_attn_implementation_internal", "\"evil/repo\""),
            ("custom_pipelines", """{"x":{"impl":"evil.py"}}"""), ("something", """{"deep":[1,2,{"a":"b"}]}""")));
        Assert.Equal("LlamaForCausalLM", config.Architecture);
    }

    [Fact]
    public void The_largest_known_models_are_within_the_limits()
    {
        // The sizes of Llama 3.1 405B, with the context of Qwen2.5-1M.
        var config = Parse(Llama(
            ("hidden_size", "16384"), ("intermediate_size", "53248"), ("num_hidden_layers", "126"), ("num_attention_heads", "128"),
            ("num_key_value_heads", "8"), ("vocab_size", "256000"), ("max_position_embeddings", "10485760")));
        Assert.Equal(128, config.HeadDim);
    }

    [Fact]
    public void The_quantisation_of_DeepSeek_and_of_llm_compressor_is_read()
    {
        var blocks = Parse(Llama(Fp8("\"fmt\":\"e4m3\",\"activation_scheme\":\"dynamic\",\"scale_fmt\":\"ue8m0\",\"modules_to_not_convert\":[\"lm_head\",\"model.layers.1\",\"o_proj\"]"))).Quantization!;
        Assert.Equal((128, 128, "_scale_inv"), (blocks.BlockRows, blocks.BlockColumns, blocks.ScaleSuffix));
        foreach (var (module, kept) in ((string, bool)[])[("lm_head", true), ("model.layers.1.mlp.up_proj", true), ("model.layers.10.mlp.up_proj", false), ("model.layers.2.self_attn.o_proj", true),
            ("model.layers.2.mlp.gate", true), ("model.layers.2.mlp.gate_proj", false), ("model.layers.2.mlp.experts.7.gate_proj", false)])
            Assert.True(kept == blocks.Keeps(module), module);
        Assert.Equal((1, "_scale", "each output"), Parse(Llama(Compressed())).Quantization is { } outputs ? (outputs.BlockRows, outputs.ScaleSuffix, outputs.ScaleOf) : default);
        Assert.Equal("each matrix", Parse(Llama(Compressed("channel", "tensor"))).Quantization!.ScaleOf);
        Assert.Equal("each block of 128 x 64", Parse(Llama(Compressed("\"channel\"", "\"block\",\"block_structure\":[128,64]"))).Quantization!.ScaleOf);
        Assert.Null(Parse(Llama()).Quantization);
        // Fields that say nothing about the weights, as llm-compressor and transformers write them.
        const string silent = "\"kv_cache_scheme\":null,\"sparsity_config\":{},\"transform_config\":{},\"version\":\"0.12\",\"global_compression_ratio\":1.5,\"unknown\":null";
        Assert.Equal("each output", Parse(Llama(Compressed("\"kv_cache_scheme\":null", silent))).Quantization!.ScaleOf);
        const string dense = "\"sparsity_config\":{\"format\":\"dense\",\"global_sparsity\":0.1,\"sparsity_structure\":\"unstructured\"}";
        Assert.Equal("each output", Parse(Llama(Compressed("\"kv_cache_scheme\":null", dense))).Quantization!.ScaleOf);
        const string weights = "\"symmetric\":true,\"dynamic\":false,\"observer\":\"minmax\",\"observer_kwargs\":{},\"actorder\":null,\"group_size\":null,\"scale_dtype\":null,\"block_structure\":null";
        Assert.Equal("each output", Parse(Llama(Compressed("\"symmetric\":true", weights))).Quantization!.ScaleOf);
        Assert.NotNull(Parse(Llama(Fp8("\"dequantize\":false,\"is_checkpoint_fp8_serialized\":true"))).Quantization);
    }
}
