namespace LocalLlm.Bench;

/// <summary>The shape of a real checkpoint, for random weights of the same size.</summary>
internal sealed record ModelShape(string Name, string Architecture, int Hidden, int Intermediate, int Layers, int Heads, int KvHeads, int HeadDim, int Vocabulary, bool Tied, bool QkvBias)
{
    public static IReadOnlyList<ModelShape> All { get; } =
    [
        new("qwen2-0.5b", "Qwen2ForCausalLM", 896, 4864, 24, 14, 2, 64, 151_936, Tied: true, QkvBias: true),
        new("qwen2-1.5b", "Qwen2ForCausalLM", 1536, 8960, 28, 12, 2, 128, 151_936, Tied: true, QkvBias: true),
        new("qwen2-7b", "Qwen2ForCausalLM", 3584, 18_944, 28, 28, 4, 128, 152_064, Tied: false, QkvBias: true),
        new("qwen2-32b", "Qwen2ForCausalLM", 5120, 27_648, 64, 40, 8, 128, 152_064, Tied: false, QkvBias: true),
        new("llama-70b", "LlamaForCausalLM", 8192, 28_672, 80, 64, 8, 128, 128_256, Tied: false, QkvBias: false),
        new("llama-1b", "LlamaForCausalLM", 2048, 8192, 16, 32, 8, 64, 128_256, Tied: true, QkvBias: false),
    ];

    /// <summary>Number of weights in the matrices of all layers: each prefilled token is multiplied by all of them.</summary>
    public long BodyParameters => (long)Layers * ((Hidden * (long)(Heads + (2 * KvHeads)) * HeadDim) + ((long)Heads * HeadDim * Hidden) + (3L * Hidden * Intermediate));

    /// <summary>Bytes that decoding one token must read, in bfloat16: every layer and the output head, but not the KV cache.</summary>
    public long BytesPerToken => sizeof(short) * (BodyParameters + ((long)Vocabulary * Hidden));

    /// <summary>Bytes of the keys and values of one token, in bfloat16.</summary>
    public long KvBytesPerToken => 2L * Layers * KvHeads * HeadDim * sizeof(short);

    /// <summary>config.json.</summary>
    public IReadOnlyDictionary<string, object> Config => new Dictionary<string, object>
    {
        ["architectures"] = new[] { Architecture },
        ["model_type"] = Architecture.StartsWith("Qwen2", StringComparison.Ordinal) ? "qwen2" : "llama",
        ["hidden_size"] = Hidden,
        ["intermediate_size"] = Intermediate,
        ["num_hidden_layers"] = Layers,
        ["num_attention_heads"] = Heads,
        ["num_key_value_heads"] = KvHeads,
        ["head_dim"] = HeadDim,
        ["vocab_size"] = Vocabulary,
        ["tie_word_embeddings"] = Tied,
        ["rms_norm_eps"] = 1e-6,
        ["rope_theta"] = 1_000_000.0,
        ["max_position_embeddings"] = 32_768,
        ["hidden_act"] = "silu",
        ["torch_dtype"] = "bfloat16",
        ["eos_token_id"] = 1,
    };

    /// <summary>Writes config.json and model.safetensors with random bfloat16 weights, unless they exist.</summary>
    public void WriteTo(string folder) => RandomWeights.Write(folder, Config, [.. Tensors()]);

    private IEnumerable<(string Name, long[] Shape)> Tensors()
    {
        yield return ("model.embed_tokens.weight", [Vocabulary, Hidden]);
        for (var layer = 0; layer < Layers; layer++)
        {
            var prefix = $"model.layers.{layer}";
            foreach (var (name, size) in new[] { ("q_proj", Heads * HeadDim), ("k_proj", KvHeads * HeadDim), ("v_proj", KvHeads * HeadDim) })
            {
                yield return ($"{prefix}.self_attn.{name}.weight", [size, Hidden]);
                if (QkvBias)
                    yield return ($"{prefix}.self_attn.{name}.bias", [size]);
            }

            yield return ($"{prefix}.self_attn.o_proj.weight", [Hidden, Heads * HeadDim]);
            yield return ($"{prefix}.mlp.gate_proj.weight", [Intermediate, Hidden]);
            yield return ($"{prefix}.mlp.up_proj.weight", [Intermediate, Hidden]);
            yield return ($"{prefix}.mlp.down_proj.weight", [Hidden, Intermediate]);
            yield return ($"{prefix}.input_layernorm.weight", [Hidden]);
            yield return ($"{prefix}.post_attention_layernorm.weight", [Hidden]);
        }

        yield return ("model.norm.weight", [Hidden]);
        if (!Tied)
            yield return ("lm_head.weight", [Vocabulary, Hidden]);
    }
}
