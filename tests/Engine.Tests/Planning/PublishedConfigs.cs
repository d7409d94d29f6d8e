namespace LocalLlm.Tests.Planning;

/// <summary>The config.json of published models, reduced to what determines sizes.</summary>
public static partial class PublishedConfigs
{
    /// <summary>deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B.</summary>
    public const string Qwen1B = """
        {"architectures":["Qwen2ForCausalLM"],"model_type":"qwen2","hidden_size":1536,"intermediate_size":8960,"num_hidden_layers":28,"num_attention_heads":12,
         "num_key_value_heads":2,"vocab_size":151936,"max_position_embeddings":131072,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    /// <summary>deepseek-ai/DeepSeek-R1-Distill-Qwen-7B, of Qwen2.5-Math-7B's shape.</summary>
    public const string Qwen7B = """
        {"architectures":["Qwen2ForCausalLM"],"model_type":"qwen2","hidden_size":3584,"intermediate_size":18944,"num_hidden_layers":28,"num_attention_heads":28,
         "num_key_value_heads":4,"vocab_size":152064,"max_position_embeddings":131072,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    /// <summary>deepseek-ai/DeepSeek-R1-Distill-Qwen-14B.</summary>
    public const string Qwen14B = """
        {"architectures":["Qwen2ForCausalLM"],"model_type":"qwen2","hidden_size":5120,"intermediate_size":13824,"num_hidden_layers":48,"num_attention_heads":40,
         "num_key_value_heads":8,"vocab_size":152064,"max_position_embeddings":131072,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    /// <summary>deepseek-ai/DeepSeek-R1-Distill-Qwen-32B.</summary>
    public const string Qwen32B = """
        {"architectures":["Qwen2ForCausalLM"],"model_type":"qwen2","hidden_size":5120,"intermediate_size":27648,"num_hidden_layers":64,"num_attention_heads":40,
         "num_key_value_heads":8,"vocab_size":152064,"max_position_embeddings":131072,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    /// <summary>deepseek-ai/DeepSeek-R1-Distill-Llama-8B.</summary>
    public const string Llama8B = """
        {"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":4096,"intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,
         "num_key_value_heads":8,"vocab_size":128256,"max_position_embeddings":131072,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    /// <summary>deepseek-ai/DeepSeek-R1-Distill-Llama-70B.</summary>
    public const string Llama70B = """
        {"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":8192,"intermediate_size":28672,"num_hidden_layers":80,"num_attention_heads":64,
         "num_key_value_heads":8,"vocab_size":128256,"max_position_embeddings":131072,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    /// <summary>meta-llama/Llama-3.2-1B, whose head is its embedding.</summary>
    public const string Llama1B = """
        {"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":2048,"intermediate_size":8192,"num_hidden_layers":16,"num_attention_heads":32,
         "num_key_value_heads":8,"head_dim":64,"vocab_size":128256,"max_position_embeddings":131072,"tie_word_embeddings":true,"torch_dtype":"bfloat16"}
        """;

    /// <summary>mistralai/Mixtral-8x7B-v0.1.</summary>
    public const string Mixtral = """
        {"architectures":["MixtralForCausalLM"],"model_type":"mixtral","hidden_size":4096,"intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,
         "num_key_value_heads":8,"num_local_experts":8,"num_experts_per_tok":2,"vocab_size":32000,"max_position_embeddings":32768,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    /// <summary>Qwen/Qwen3-30B-A3B.</summary>
    public const string Qwen30BExperts = """
        {"architectures":["Qwen3MoeForCausalLM"],"model_type":"qwen3_moe","hidden_size":2048,"intermediate_size":6144,"moe_intermediate_size":768,"num_hidden_layers":48,
         "num_attention_heads":32,"num_key_value_heads":4,"head_dim":128,"num_experts":128,"num_experts_per_tok":8,"decoder_sparse_step":1,"mlp_only_layers":[],
         "vocab_size":151936,"max_position_embeddings":40960,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    /// <summary>deepseek-ai/DeepSeek-V2-Lite.</summary>
    public const string V2Lite = """
        {"architectures":["DeepseekV2ForCausalLM"],"model_type":"deepseek_v2","hidden_size":2048,"intermediate_size":10944,"moe_intermediate_size":1408,"num_hidden_layers":27,
         "num_attention_heads":16,"num_key_value_heads":16,"n_routed_experts":64,"n_shared_experts":2,"num_experts_per_tok":6,"first_k_dense_replace":1,"moe_layer_freq":1,
         "q_lora_rank":null,"kv_lora_rank":512,"qk_nope_head_dim":128,"qk_rope_head_dim":64,"v_head_dim":128,"topk_method":"greedy","vocab_size":102400,
         "max_position_embeddings":163840,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    /// <summary>deepseek-ai/DeepSeek-V2.</summary>
    public const string V2 = """
        {"architectures":["DeepseekV2ForCausalLM"],"model_type":"deepseek_v2","hidden_size":5120,"intermediate_size":12288,"moe_intermediate_size":1536,"num_hidden_layers":60,
         "num_attention_heads":128,"num_key_value_heads":128,"n_routed_experts":160,"n_shared_experts":2,"num_experts_per_tok":6,"first_k_dense_replace":1,"moe_layer_freq":1,
         "q_lora_rank":1536,"kv_lora_rank":512,"qk_nope_head_dim":128,"qk_rope_head_dim":64,"v_head_dim":128,"topk_method":"group_limited_greedy","vocab_size":102400,
         "max_position_embeddings":163840,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    /// <summary>deepseek-ai/DeepSeek-V3 and DeepSeek-R1.</summary>
    public const string V3 = """
        {"architectures":["DeepseekV3ForCausalLM"],"model_type":"deepseek_v3","hidden_size":7168,"intermediate_size":18432,"moe_intermediate_size":2048,"num_hidden_layers":61,
         "num_attention_heads":128,"num_key_value_heads":128,"n_routed_experts":256,"n_shared_experts":1,"num_experts_per_tok":8,"first_k_dense_replace":3,"moe_layer_freq":1,
         "q_lora_rank":1536,"kv_lora_rank":512,"qk_nope_head_dim":128,"qk_rope_head_dim":64,"v_head_dim":128,"topk_method":"noaux_tc","vocab_size":129280,
         "max_position_embeddings":163840,"tie_word_embeddings":false,"torch_dtype":"bfloat16","num_nextn_predict_layers":1,
         "quantization_config":{"activation_scheme":"dynamic","fmt":"e4m3","quant_method":"fp8","weight_block_size":[128,128]}}
        """;
}
