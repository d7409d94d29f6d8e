using System.Diagnostics;
using System.Text;
using LocalLlm.Models;
using LocalLlm.Tests.Weights;
using Xunit;
using static LocalLlm.Tests.Models.ConfigSamples;

namespace LocalLlm.Tests.Models;

public class ModelConfigMalformedTests
{
    // name, text, words the message must have
    public static TheoryData<string, string, string[]> BadFiles => new()
    {
        { "EMPTY", "", ["is empty"] },
        { "BLANK", "  \n", ["not valid JSON"] },
        { "BYTE_ORDER_MARK", "\uFEFF" + Llama(), ["byte order mark"] },
        { "TOP_IS_LIST", "[" + Llama() + "]", ["found JSON Array", "object"] },
        { "TOP_IS_NUMBER", "7", ["found JSON Number", "object"] },
        { "TOP_IS_NULL", "null", ["found JSON Null", "object"] },
        { "UNCLOSED", Llama()[..^1], ["not valid JSON"] },
        { "TRAILING_GARBAGE", Llama() + "}", ["not valid JSON"] },
        { "COMMENT", "/* hi */" + Llama(), ["not valid JSON"] },
        { "TRAILING_COMMA", Llama()[..^1] + ",}", ["not valid JSON"] },
        { "DUPLICATE_KEY", Llama()[..^1] + ",\"hidden_size\":64}", ["not valid JSON", "hidden_size"] },
        { "DUPLICATE_BY_ESCAPE", Llama()[..^1] + ",\"hidden\\u005fsize\":64}", ["not valid JSON", "hidden_size"] },
        { "DUPLICATE_IN_ROPE", Llama(("rope_scaling", """{"type":"linear","factor":2,"factor":4}""")), ["not valid JSON", "factor"] },
        { "DEPTH_BOMB", Llama(("x", new string('[', 100_000))), ["not valid JSON", "depth"] },
        { "NAN_LITERAL", Llama(("rms_norm_eps", "NaN")), ["not valid JSON"] },
        { "INFINITY_LITERAL", Llama(("rope_theta", "Infinity")), ["not valid JSON"] },
        { "LONE_SURROGATE_NAME", Llama(("\\ud800", "1")), ["not valid JSON"] },
        { "LONE_SURROGATE_TYPE", Llama(("model_type", "\"\\ud800\"")), ["model_type", "string"] },
        { "NO_FIELDS", "{}", ["architectures", "is missing", "LlamaForCausalLM"] },
        { "ARCHITECTURE_UNKNOWN", Llama(("architectures", "[\"GPT2LMHeadModel\"]")), ["architectures", "'GPT2LMHeadModel'", "LlamaForCausalLM"] },
        { "ARCHITECTURE_LIST_EMPTY", Llama(("architectures", "[]")), ["architectures", "an empty list", "LlamaForCausalLM"] },
        { "ARCHITECTURE_IS_STRING", Llama(("architectures", "\"LlamaForCausalLM\"")), ["architectures", "list of strings"] },
        { "ARCHITECTURE_IS_NUMBER", Llama(("architectures", "[1]")), ["architectures", "list of strings"] },
        { "ARCHITECTURE_WRONG_CASE", Llama(("architectures", "[\"llamaforcausallm\"]")), ["architectures", "'llamaforcausallm'"] },
        { "MODEL_TYPE_UNKNOWN", Llama(("architectures", null), ("model_type", "\"gpt2\"")), ["architectures", "is missing"] },
        { "TEXT_CONFIG", Llama(("text_config", "{}")), ["text_config", "nested"] },
        { "QUANTIZED_FP8", Llama(("quantization_config", """{"quant_method":"fp8"}""")), ["quantization_config.weight_block_size: is missing", "[128, 128]"] },
        { "QUANTIZED_LIST", Llama(("quantization_config", "[]")), ["quantization_config: found a list of 0", "an object"] },
        { "QUANTIZED_UNNAMED", Llama(("quantization_config", "{}")), ["quantization_config.quant_method: is missing", "fp8"] },
        { "QUANTIZED_AWQ", Llama(("quantization_config", """{"quant_method":"awq"}""")), ["quantization_config.quant_method: found 'awq'", "fp8", "unquantised"] },
        { "QUANTIZED_E5M2", Llama(Fp8("\"fmt\":\"e5m2\"")), ["quantization_config.fmt: found 'e5m2', wanted e4m3"] },
        { "QUANTIZED_STATIC", Llama(Fp8("\"activation_scheme\":\"static\"")), ["quantization_config.activation_scheme: found 'static', wanted dynamic"] },
        { "QUANTIZED_SCALE_FORMAT", Llama(Fp8("\"scale_fmt\":\"int8\"")), ["quantization_config.scale_fmt: found 'int8', wanted ue8m0"] },
        { "QUANTIZED_BLOCK_OF_ONE_EDGE", Llama(Fp8(block: "[128]")), ["quantization_config.weight_block_size: found a list of 1", "two whole numbers"] },
        { "QUANTIZED_BLOCK_OF_ZERO", Llama(Fp8(block: "[0,128]")), ["quantization_config.weight_block_size: found a list of 2", "from 16 to 65536"] },
        { "QUANTIZED_BLOCK_OF_TEXT", Llama(Fp8(block: "\"128x128\"")), ["quantization_config.weight_block_size: found '128x128'", "two whole numbers"] },
        { "QUANTIZED_KEEPS_A_NUMBER", Llama(Fp8("\"modules_to_not_convert\":[1]")), ["quantization_config.modules_to_not_convert", "list of strings"] },
        { "QUANTIZED_UNKNOWN", Llama(Fp8("\"rotation\":\"hadamard\"")), ["quantization_config.rotation: found 'hadamard', wanted none"] },
        { "QUANTIZED_LATER", Llama(Fp8("\"is_checkpoint_fp8_serialized\":false")), ["quantization_config.is_checkpoint_fp8_serialized: found false, wanted true"] },
        { "COMPRESSED_TRANSFORMED", Llama(Compressed("\"kv_cache_scheme\":null", "\"transform_config\":{\"config_groups\":{}}")), ["quantization_config.transform_config: found an object, wanted none"] },
        { "COMPRESSED_SPARSE", Llama(Compressed("\"kv_cache_scheme\":null", "\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}")), ["quantization_config.sparsity_config.format: found 'sparse-24-bitmask', wanted dense"] },
        { "COMPRESSED_CACHE", Llama(Compressed("\"kv_cache_scheme\":null", "\"kv_cache_scheme\":{\"num_bits\":8}")), ["quantization_config.kv_cache_scheme: found an object", "--kv-cache-dtype fp8"] },
        { "COMPRESSED_UNKNOWN", Llama(Compressed("\"kv_cache_scheme\":null", "\"permutation\":[1]")), ["quantization_config.permutation: found a list of 1, wanted none"] },
        { "COMPRESSED_OUTPUTS", Llama(Compressed("\"output_activations\":null", "\"output_activations\":{\"num_bits\":8}")), ["quantization_config.config_groups.group_0.output_activations: found an object, wanted none"] },
        { "COMPRESSED_GROUP_FORMAT", Llama(Compressed("\"output_activations\":null", "\"format\":\"nvfp4-pack-quantized\"")), ["quantization_config.config_groups.group_0.format: found 'nvfp4-pack-quantized', wanted float-quantized"] },
        { "COMPRESSED_WITH_ZERO_POINTS", Llama(Compressed("\"symmetric\":true", "\"symmetric\":false")), ["quantization_config.config_groups.group_0.weights.symmetric: found false, wanted true"] },
        { "COMPRESSED_DYNAMIC_WEIGHTS", Llama(Compressed("\"symmetric\":true", "\"dynamic\":true")), ["quantization_config.config_groups.group_0.weights.dynamic: found true, wanted false"] },
        { "COMPRESSED_REORDERED", Llama(Compressed("\"symmetric\":true", "\"actorder\":\"group\"")), ["quantization_config.config_groups.group_0.weights.actorder: found 'group', wanted none"] },
        { "COMPRESSED_GROUP_SIZE", Llama(Compressed("\"symmetric\":true", "\"group_size\":128")), ["quantization_config.config_groups.group_0.weights.group_size: found 128, wanted none"] },
        { "COMPRESSED_BLOCKS_OF_CHANNELS", Llama(Compressed("\"symmetric\":true", "\"block_structure\":[128,128]")), ["quantization_config.config_groups.group_0.weights.block_structure: found a list of 2, wanted none"] },
        { "COMPRESSED_INT4", Llama(Compressed("float-quantized", "pack-quantized")), ["quantization_config.format: found 'pack-quantized', wanted float-quantized"] },
        { "COMPRESSED_4_BITS", Llama(Compressed("\"num_bits\":8", "\"num_bits\":4")), ["quantization_config.config_groups.group_0.weights.num_bits: found 4, wanted 8"] },
        { "COMPRESSED_INTEGERS", Llama(Compressed("\"float\"", "\"int\"")), ["quantization_config.config_groups.group_0.weights.type: found 'int', wanted float"] },
        { "COMPRESSED_GROUPED", Llama(Compressed("channel", "group")), ["quantization_config.config_groups.group_0.weights.strategy: found 'group', wanted channel, tensor or block"] },
        { "COMPRESSED_STATIC", Llama(Compressed("\"dynamic\":true", "\"dynamic\":false")), ["quantization_config.config_groups.group_0.input_activations.dynamic: found false, wanted true"] },
        { "COMPRESSED_TARGETS", Llama(Compressed("\"Linear\"", "\"re:.*proj\"")), ["quantization_config.config_groups.group_0.targets", "Linear"] },
        { "COMPRESSED_WITHOUT_GROUPS", Llama(("quantization_config", "{\"quant_method\":\"compressed-tensors\"}")), ["quantization_config.config_groups: is missing, wanted one group"] },
        { "COMPRESSED_IGNORES_BY_PATTERN", Llama(Compressed("lm_head", "re:.*gate")), ["quantization_config.ignore", "no regular expressions"] },
        { "COMPRESSED", Llama(("compression_config", """{"quant_method":"compressed-tensors"}""")), ["compression_config: found an object", "unquantised"] },
        { "HIDDEN_MISSING", Llama(("hidden_size", null)), ["hidden_size", "is missing", "131072"] },
        { "HIDDEN_NULL", Llama(("hidden_size", "null")), ["hidden_size", "found null"] },
        { "HIDDEN_ZERO", Llama(("hidden_size", "0")), ["hidden_size", "found 0", "from 1 to 131072"] },
        { "HIDDEN_NEGATIVE", Llama(("hidden_size", "-64")), ["hidden_size", "found -64"] },
        { "HIDDEN_HUGE", Llama(("hidden_size", "1000000000000")), ["hidden_size", "found 1000000000000", "131072"] },
        { "HIDDEN_FRACTION", Llama(("hidden_size", "64.5")), ["hidden_size", "found 64.5", "whole number"] },
        { "HIDDEN_INTEGRAL_FLOAT", Llama(("hidden_size", "64.0")), ["hidden_size", "found 64.0", "whole number"] },
        { "HIDDEN_EXPONENT", Llama(("hidden_size", "1e400")), ["hidden_size", "found 1e400"] },
        { "HIDDEN_STRING", Llama(("hidden_size", "\"64\"")), ["hidden_size", "found '64'"] },
        { "HIDDEN_LIST", Llama(("hidden_size", "[64]")), ["hidden_size", "a list of 1"] },
        { "HIDDEN_BOOL", Llama(("hidden_size", "true")), ["hidden_size", "found true"] },
        { "HIDDEN_WRAPS_TO_64", Llama(("hidden_size", "4294967360")), ["hidden_size", "found 4294967360"] },
        { "HIDDEN_THOUSAND_DIGITS", Llama(("hidden_size", new string('9', 1000))), ["hidden_size", "more than 40"] },
        { "LAYERS_ZERO", Llama(("num_hidden_layers", "0")), ["num_hidden_layers", "found 0", "1000"] },
        { "LAYERS_BILLION", Llama(("num_hidden_layers", "1000000000")), ["num_hidden_layers", "found 1000000000", "1000"] },
        { "VOCAB_2_TO_40", Llama(("vocab_size", "1099511627776")), ["vocab_size", "found 1099511627776", "4194304"] },
        { "INTERMEDIATE_ZERO", Llama(("intermediate_size", "0")), ["intermediate_size", "found 0"] },
        { "HEADS_ZERO", Llama(("num_attention_heads", "0")), ["num_attention_heads", "found 0", "1024"] },
        { "HEADS_HUGE", Llama(("num_attention_heads", "2147483647")), ["num_attention_heads", "1024"] },
        { "HEADS_DO_NOT_DIVIDE_HIDDEN", Llama(("num_attention_heads", "7")), ["hidden_size", "found 64", "num_attention_heads (7)"] },
        { "KV_HEADS_ZERO", Llama(("num_key_value_heads", "0")), ["num_key_value_heads", "found 0"] },
        { "KV_HEADS_NEGATIVE", Llama(("num_key_value_heads", "-2")), ["num_key_value_heads", "found -2"] },
        { "KV_HEADS_DO_NOT_DIVIDE", Llama(("num_key_value_heads", "3")), ["num_key_value_heads", "found 3", "divisor", "(8)"] },
        { "KV_HEADS_ABOVE_HEADS", Llama(("num_key_value_heads", "16")), ["num_key_value_heads", "found 16", "divisor"] },
        { "HEAD_DIM_ZERO", Llama(("head_dim", "0")), ["head_dim", "found 0"] },
        { "HEAD_DIM_ODD", Llama(("head_dim", "7")), ["head_dim", "found 7", "even"] },
        { "HEAD_DIM_ODD_BY_DIVISION", Llama(("hidden_size", "72")), ["hidden_size", "found 72", "even"] },
        { "HEAD_DIM_HUGE", Llama(("head_dim", "1048576")), ["head_dim", "found 1048576", "1024"] },
        { "HEAD_DIM_HUGE_BY_DIVISION", Llama(("hidden_size", "131072"), ("num_attention_heads", "1")), ["hidden_size", "1024"] },
        { "POSITIONS_ZERO", Llama(("max_position_embeddings", "0")), ["max_position_embeddings", "found 0"] },
        { "POSITIONS_HUGE", Llama(("max_position_embeddings", "1000000000000")), ["max_position_embeddings", "134217728"] },
        { "EPS_ZERO", Llama(("rms_norm_eps", "0")), ["rms_norm_eps", "found 0", "above 0"] },
        { "EPS_NEGATIVE", Llama(("rms_norm_eps", "-1e-6")), ["rms_norm_eps", "found -1e-6"] },
        { "EPS_INFINITE", Llama(("rms_norm_eps", "1e400")), ["rms_norm_eps", "found 1e400"] },
        { "EPS_UNDERFLOWS", Llama(("rms_norm_eps", "1e-400")), ["rms_norm_eps", "found 1e-400"] },
        { "EPS_STRING", Llama(("rms_norm_eps", "\"1e-6\"")), ["rms_norm_eps", "found '1e-6'"] },
        { "ACT_GELU", Llama(("hidden_act", "\"gelu\"")), ["hidden_act", "found 'gelu'", "silu"] },
        { "ACT_IS_NUMBER", Llama(("hidden_act", "1")), ["hidden_act", "found 1", "string"] },
        { "TIE_IS_NUMBER", Llama(("tie_word_embeddings", "1")), ["tie_word_embeddings", "found 1", "true or false"] },
        { "TIE_IS_STRING", Llama(("tie_word_embeddings", "\"false\"")), ["tie_word_embeddings", "found 'false'"] },
        { "BIAS_IS_STRING", Llama(("attention_bias", "\"yes\"")), ["attention_bias", "found 'yes'"] },
        { "DTYPE_UNKNOWN", Llama(("torch_dtype", "\"float8_e4m3fn\"")), ["torch_dtype", "found 'float8_e4m3fn'", "bfloat16"] },
        { "DTYPE_5_UNKNOWN", Llama(("dtype", "\"int8\"")), ["dtype", "found 'int8'"] },
        { "DTYPE_IS_OBJECT", Llama(("dtype", "{}")), ["dtype", "an object"] },
        { "EOS_NEGATIVE", Llama(("eos_token_id", "-1")), ["eos_token_id", "found -1", "319"] },
        { "EOS_BEYOND_VOCAB", Llama(("eos_token_id", "320")), ["eos_token_id", "found 320", "319"] },
        { "EOS_LIST_BEYOND_VOCAB", Llama(("eos_token_id", "[2,320]")), ["eos_token_id", "a list of 2", "319"] },
        { "EOS_LIST_OF_STRINGS", Llama(("eos_token_id", "[\"2\"]")), ["eos_token_id", "a list of 1"] },
        { "EOS_LIST_LONG", Llama(("eos_token_id", "[" + string.Join(",", Enumerable.Repeat("1", 2000)) + "]")), ["eos_token_id", "a list of 2000", "1024"] },
        { "EOS_2_TO_40", Llama(("eos_token_id", "1099511627776")), ["eos_token_id", "1099511627776"] },
        { "BOS_IS_STRING", Llama(("bos_token_id", "\"<s>\"")), ["bos_token_id", "found '<s>'"] },
        { "WINDOW_ZERO", Mistral(("sliding_window", "0")), ["sliding_window", "found 0"] },
        { "WINDOW_NEGATIVE", Mistral(("sliding_window", "-1")), ["sliding_window", "found -1"] },
        { "WINDOW_SWITCH_IS_NUMBER", Qwen2(("use_sliding_window", "1")), ["use_sliding_window", "found 1"] },
        { "MAX_WINDOW_LAYERS_NEGATIVE", Qwen2(("use_sliding_window", "true"), ("max_window_layers", "-1")), ["max_window_layers", "found -1"] },
        { "LAYER_TYPES_SHORT", Qwen2(("layer_types", "[\"full_attention\"]")), ["layer_types", "found 1 entries", "(4)"] },
        { "LAYER_TYPES_UNKNOWN", Qwen2(("layer_types", """["full_attention","full_attention","linear_attention","full_attention"]""")), ["layer_types", "'linear_attention'"] },
        { "LAYER_TYPES_NUMBERS", Qwen2(("layer_types", "[1,2,3,4]")), ["layer_types", "list of strings"] },
        { "LAYER_TYPES_WITHOUT_WINDOW", Qwen3(("layer_types", """["full_attention","full_attention","sliding_attention","full_attention"]""")), ["layer_types", "sliding_attention", "no window"] },
        { "LAYER_TYPES_SLIDE_ON_LLAMA", Llama(("layer_types", """["full_attention","full_attention","sliding_attention","full_attention"]""")), ["layer_types", "LlamaForCausalLM"] },
        { "ROPE_IS_STRING", Llama(("rope_scaling", "\"linear\"")), ["rope_scaling", "found 'linear'", "object"] },
        { "ROPE_TYPE_LONGROPE", Llama(("rope_scaling", """{"rope_type":"longrope","short_factor":[1],"long_factor":[1]}""")), ["rope_scaling.rope_type", "found 'longrope'", "llama3"] },
        { "ROPE_TYPE_SU", Llama(("rope_scaling", """{"type":"su","factor":2}""")), ["rope_scaling.type", "found 'su'"] },
        { "ROPE_TYPE_MROPE", Qwen2(("rope_scaling", """{"type":"mrope","mrope_section":[1,2,3]}""")), ["rope_scaling.type", "found 'mrope'"] },
        { "ROPE_TYPE_CONTRADICTS", Qwen2(("rope_scaling", """{"type":"mrope","rope_type":"default","mrope_section":[1,2,3]}""")), ["rope_scaling", "'default'", "'mrope'"] },
        { "ROPE_TYPE_IS_NUMBER", Llama(("rope_scaling", """{"type":1,"factor":2}""")), ["rope_scaling.type", "found 1"] },
        { "ROPE_MROPE_SECTION", Qwen2(("rope_parameters", """{"rope_type":"default","mrope_section":[1,2,3]}""")), ["rope_parameters.'mrope_section'", "a list of 3"] },
        { "ROPE_FACTOR_WITHOUT_TYPE", Llama(("rope_scaling", """{"factor":2}""")), ["rope_scaling.rope_type", "is missing", "factor"] },
        { "ROPE_FACTOR_MISSING", Llama(("rope_scaling", """{"type":"linear"}""")), ["rope_scaling.factor", "is missing"] },
        { "ROPE_FACTOR_ZERO", Llama(("rope_scaling", """{"type":"linear","factor":0}""")), ["rope_scaling.factor", "found 0"] },
        { "ROPE_FACTOR_NEGATIVE", Llama(("rope_scaling", """{"type":"yarn","factor":-4}""")), ["rope_scaling.factor", "found -4"] },
        { "ROPE_FACTOR_INFINITE", Llama(("rope_scaling", """{"type":"linear","factor":1e400}""")), ["rope_scaling.factor", "found 1e400"] },
        { "ROPE_FACTOR_STRING", Llama(("rope_scaling", """{"type":"linear","factor":"2"}""")), ["rope_scaling.factor", "found '2'"] },
        { "ROPE_DYNAMIC_BELOW_1", Llama(("rope_scaling", """{"type":"dynamic","factor":0.5}""")), ["rope_scaling.factor", "found 0.5", "from 1"] },
        { "ROPE_DYNAMIC_HEAD_DIM_2", Llama(("head_dim", "2"), ("rope_scaling", """{"type":"dynamic","factor":2}""")), ["head_dim", "found 2", "dynamic"] },
        { "ROPE_DYNAMIC_ALPHA", Llama(("rope_scaling", """{"type":"dynamic","factor":2,"alpha":1000}""")), ["rope_scaling.'alpha'", "found 1000"] },
        { "ROPE_THETA_ZERO", Llama(("rope_theta", "0")), ["rope_theta", "found 0"] },
        { "ROPE_THETA_NEGATIVE", Llama(("rope_theta", "-10000")), ["rope_theta", "found -10000"] },
        { "ROPE_THETA_INFINITE", Llama(("rope_theta", "1e400")), ["rope_theta", "found 1e400"] },
        { "ROPE_THETA_1_FOR_YARN", Llama(("rope_theta", "1"), ("rope_scaling", """{"type":"yarn","factor":4}""")), ["rope_theta", "above 1"] },
        { "ROPE_LLAMA3_LOW_MISSING", Llama(("rope_scaling", """{"rope_type":"llama3","factor":8,"high_freq_factor":4}""")), ["rope_scaling.low_freq_factor", "is missing"] },
        { "ROPE_LLAMA3_HIGH_MISSING", Llama(("rope_scaling", """{"rope_type":"llama3","factor":8,"low_freq_factor":1}""")), ["rope_scaling.high_freq_factor", "is missing"] },
        { "ROPE_LLAMA3_HIGH_EQUALS_LOW", Llama(("rope_scaling", """{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4}""")), ["rope_scaling.high_freq_factor", "above low_freq_factor"] },
        { "ROPE_LLAMA3_LOW_ZERO", Llama(("rope_scaling", """{"rope_type":"llama3","factor":8,"low_freq_factor":0,"high_freq_factor":4}""")), ["rope_scaling.low_freq_factor", "found 0"] },
        { "ROPE_ORIGINAL_ZERO", Llama(("rope_scaling", """{"type":"yarn","factor":4,"original_max_position_embeddings":0}""")), ["rope_scaling.original_max_position_embeddings", "found 0"] },
        { "ROPE_YARN_BETAS_REVERSED", Llama(("rope_scaling", """{"type":"yarn","factor":4,"beta_fast":1,"beta_slow":32}""")), ["rope_scaling.beta_fast", "found 1"] },
        { "ROPE_YARN_ATTENTION_FACTOR_ZERO", Llama(("rope_scaling", """{"type":"yarn","factor":4,"attention_factor":0}""")), ["rope_scaling.attention_factor", "found 0"] },
        { "ROPE_YARN_ATTN_FACTOR", Llama(("rope_scaling", """{"type":"yarn","factor":4,"attn_factor":0.5}""")), ["rope_scaling.'attn_factor'", "found 0.5"] },
        { "ROPE_YARN_TRUNCATE_IS_NUMBER", Llama(("rope_scaling", """{"type":"yarn","factor":4,"truncate":0}""")), ["rope_scaling.truncate", "found 0"] },
        { "ROPE_PER_LAYER_TYPE", Llama(("rope_parameters", """{"full_attention":{"rope_type":"default"}}""")), ["rope_parameters.'full_attention'", "an object"] },
        { "ROPE_PARTIAL", Llama(("partial_rotary_factor", "0.5")), ["partial_rotary_factor", "found 0.5", "wanted 1"] },
        { "ROPE_PARTIAL_INSIDE", Llama(("rope_parameters", """{"rope_type":"default","partial_rotary_factor":0.5}""")), ["rope_parameters.partial_rotary_factor", "found 0.5"] },
    };

    [Theory]
    [MemberData(nameof(BadFiles))]
    public void A_bad_configuration_is_one_error_that_names_file_field_found_and_wanted(string name, string text, string[] words)
    {
        Assert.NotEmpty(name);
        var error = Assert.Throws<EngineException>(() => Parse(text));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.StartsWith("config.json: ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("problems", error.Message, StringComparison.Ordinal);
        Assert.All(words, word => Assert.Contains(word, error.Message, StringComparison.Ordinal));
        Assert.True(error.Message.Length < 600, error.Message);
    }

    [Fact]
    public void All_problems_are_listed_together()
    {
        var error = Assert.Throws<EngineException>(() => Parse(Llama(
            ("hidden_size", "-1"), ("vocab_size", null), ("num_hidden_layers", "\"many\""), ("hidden_act", "\"relu\""),
            ("rope_theta", "0"), ("torch_dtype", "\"int8\""), ("quantization_config", """{"quant_method":"awq"}"""))));
        Assert.StartsWith("config.json: 7 problems:", error.Message, StringComparison.Ordinal);
        foreach (var field in (string[])["hidden_size", "vocab_size", "num_hidden_layers", "hidden_act", "rope_theta", "torch_dtype", "'awq'"])
            Assert.Contains(field, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Text_that_is_not_UTF_8_is_refused()
    {
        byte[] text = [.. Encoding.UTF8.GetBytes(Llama())[..^1], .. ",\"x\":\""u8, 0xff, .. "\"}"u8];
        Assert.Contains("UTF-8", Assert.Throws<EngineException>(() => ModelConfig.Parse(text)).Message, StringComparison.Ordinal);
        Assert.Throws<EngineException>(() => ModelConfig.Parse(Encoding.Unicode.GetBytes(Llama())));
    }

    [Fact]
    public void A_missing_an_empty_and_a_huge_file_and_a_device_are_refused_unread()
    {
        using var folder = new TemporaryFolder();
        string Refused() => Assert.Throws<EngineException>(() => ModelConfig.Load(folder.Path)).Message;
        Assert.StartsWith("config.json: is missing", Refused(), StringComparison.Ordinal);
        folder.Write("config.json", "");
        Assert.StartsWith("config.json: is empty", Refused(), StringComparison.Ordinal);
        File.Delete(folder["config.json"]);
        File.CreateSymbolicLink(folder["config.json"], "/dev/zero");
        Assert.StartsWith("config.json: is empty", Refused(), StringComparison.Ordinal);
        File.Delete(folder["config.json"]);
        using (var stream = File.Create(folder["config.json"]))
            stream.SetLength(1L << 40);
        Assert.StartsWith("config.json: has 1,099,511,627,776 bytes", Refused(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_cut_at_any_of_64_places_is_one_error()
    {
        var whole = File.ReadAllText(Path.Combine(TestPaths.TinyR1, "config.json")).TrimEnd();
        for (var i = 0; i < 64; i++)
        {
            var error = Assert.Throws<EngineException>(() => Parse(whole[..(whole.Length * i / 64)]));
            Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        }
    }

    [Fact]
    public void The_largest_allowed_file_full_of_tokens_costs_little()
    {
        var texts = new[]
        {
            Llama(("x", "[" + string.Join(",", Enumerable.Repeat("1", 2_000_000)) + "]")),
            Llama([.. Enumerable.Range(0, 300_000).Select(i => ($"k{i}", (string?)"1"))]),
        }.Select(Encoding.UTF8.GetBytes).ToArray();
        foreach (var text in texts)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var watch = Stopwatch.StartNew();
            ModelConfig.Parse(text);
            Assert.True(watch.Elapsed < TimeSpan.FromMinutes(1), watch.Elapsed.ToString());
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 << 20);
        }
    }
}
