using System.Text;
using LocalLlm.Models;

namespace LocalLlm.Tests.Models;

/// <summary>Small config.json texts with single fields changed.</summary>
internal static class ConfigSamples
{
    /// <summary>A valid Llama configuration as raw JSON values; a null value removes the field.</summary>
    public static string Llama(params (string Name, string? Json)[] changes) => Text("LlamaForCausalLM", "llama", changes);

    public static string Mistral(params (string Name, string? Json)[] changes) => Text("MistralForCausalLM", "mistral", changes);

    public static string Qwen2(params (string Name, string? Json)[] changes) => Text("Qwen2ForCausalLM", "qwen2", changes);

    public static string Qwen3(params (string Name, string? Json)[] changes) => Text("Qwen3ForCausalLM", "qwen3", changes);

    /// <summary>The <c>quantization_config</c> of a checkpoint in 8-bit floats, with further fields.</summary>
    public static (string Name, string Json) Fp8(string more = "", string block = "[128,128]") =>
        ("quantization_config", $"{{\"quant_method\":\"fp8\",\"weight_block_size\":{block}{(more.Length > 0 ? "," : "")}{more}}}");

    /// <summary>The <c>quantization_config</c> of a checkpoint of llm-compressor, with a part of its text replaced.</summary>
    public static (string Name, string Json) Compressed(string found = "", string put = "")
    {
        const string text = """
            {"quant_method":"compressed-tensors","format":"float-quantized","quantization_status":"compressed","kv_cache_scheme":null,"ignore":["lm_head"],
             "config_groups":{"group_0":{"targets":["Linear"],"output_activations":null,"weights":{"num_bits":8,"type":"float","strategy":"channel","symmetric":true},
             "input_activations":{"num_bits":8,"type":"float8","strategy":"token","dynamic":true}}}}
            """;
        return ("quantization_config", found.Length == 0 ? text : text.Replace(found, put, StringComparison.Ordinal));
    }

    public static DecoderConfig Parse(string text) => (DecoderConfig)ModelConfig.Parse(Encoding.UTF8.GetBytes(text));

    private static string Text(string architecture, string type, (string Name, string? Json)[] changes)
    {
        var fields = new Dictionary<string, string?>
        {
            ["architectures"] = $"[\"{architecture}\"]",
            ["model_type"] = $"\"{type}\"",
            ["hidden_size"] = "64",
            ["intermediate_size"] = "160",
            ["num_hidden_layers"] = "4",
            ["num_attention_heads"] = "8",
            ["vocab_size"] = "320",
        };
        foreach (var (name, json) in changes)
            fields[name] = json;
        return "{" + string.Join(",", fields.Where(f => f.Value is not null).Select(f => $"\"{f.Key}\":{f.Value}")) + "}";
    }
}
