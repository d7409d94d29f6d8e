using System.Text.Json.Nodes;

namespace LocalLlm.Bench;

/// <summary>The widths of a DeepSeek-V3 model in 8-bit floats, its config.json, and what its steps read and compute.</summary>
/// <param name="Hidden">Width of the residual stream.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="QueryRank">Width of the queries' latent vector.</param>
/// <param name="Rank">Width of the latent vector of keys and values.</param>
/// <param name="Plain">Dimensions of a head that are not rotated.</param>
/// <param name="Rotary">Rotated dimensions of a head.</param>
/// <param name="Value">Dimensions of a value head.</param>
/// <param name="Intermediate">Width of a dense layer's MLP.</param>
/// <param name="Width">Width of an expert.</param>
/// <param name="Experts">Routed experts of a layer.</param>
/// <param name="PerToken">Routed experts of a token.</param>
/// <param name="Groups">Groups of experts.</param>
/// <param name="GroupsPerToken">Groups that a token's experts come from.</param>
internal sealed record DeepseekShape(
    int Hidden, int Heads, int QueryRank, int Rank, int Plain, int Rotary, int Value, int Intermediate, int Width, int Experts,
    int PerToken, int Groups, int GroupsPerToken)
{
    private const int BlockEdge = 128; // of 8-bit floats that share a scale

    /// <summary>DeepSeek-V3's own.</summary>
    public static DeepseekShape V3 { get; } = new(7168, 128, 1536, 512, 128, 64, 128, 18432, 2048, 256, 8, 8, 4);

    /// <summary>Small enough for any CPU.</summary>
    public static DeepseekShape Tiny { get; } = new(256, 8, 128, 128, 64, 32, 64, 512, 128, 16, 4, 4, 2);

    private long ToLatent => (long)Hidden * (QueryRank + Rank + Rotary);

    private long QueriesAndOutput => ((long)QueryRank * Heads * (Plain + Rotary)) + ((long)Heads * Value * Hidden);

    private long FromLatent => (long)Rank * Heads * (Plain + Value);

    private long Dense => 3L * Hidden * Intermediate;

    private long Expert => 3L * Hidden * Width;

    private long Router => (long)Hidden * Experts;

    /// <summary>Expected number of a layer's routed experts that a step's tokens choose, if all experts are equally likely.</summary>
    public double ActiveExperts(int tokens) => Experts * (1 - Math.Pow(1 - ((double)PerToken / Experts), tokens));

    /// <summary>The bytes of the output head, bfloat16.</summary>
    public double HeadBytes(int vocabulary) => (double)sizeof(short) * vocabulary * Hidden;

    /// <summary>
    /// Bytes that one of <paramref name="cards"/> reads in a step, as they lie in memory: matrices in 8 bits; in 16 bits the cache and the
    /// projection of latent vectors to keys and values; routers in float32. The output head, scales and norms are not counted. Every card
    /// reads the projections to latent vectors, the routers and the whole cache.
    /// </summary>
    /// <param name="dense">Dense layers.</param>
    /// <param name="mixtures">Layers with experts.</param>
    /// <param name="sequences">Sequences, each with one token in the step.</param>
    /// <param name="context">Tokens of each in the cache.</param>
    /// <param name="experts">Routed experts read in each layer.</param>
    /// <param name="cards">Number of cards that heads, MLPs and experts are split over.</param>
    public double StepBytes(int dense, int mixtures, int sequences, int context, double experts, int cards = 1)
    {
        var row = (double)sizeof(short) * (Rank + Rotary);
        var attention = ToLatent + ((QueriesAndOutput + (sizeof(short) * FromLatent)) / (double)cards) + (row * sequences * context);
        return ((dense + mixtures) * attention) + ((double)dense * Dense / cards)
            + (mixtures * (((1 + experts) * Expert / cards) + (sizeof(float) * (double)Router)));
    }

    /// <summary>
    /// Operations of the layers for a prompt: 2 for each parameter that a token is multiplied by, and causal attention over expanded heads.
    /// </summary>
    /// <param name="dense">Dense layers.</param>
    /// <param name="mixtures">Layers with experts.</param>
    /// <param name="tokens">Tokens of the prompt.</param>
    public double PromptOperations(int dense, int mixtures, int tokens)
    {
        var parameters = ((dense + mixtures) * (double)(ToLatent + QueriesAndOutput + FromLatent)) + ((double)dense * Dense)
            + (mixtures * (double)(((1 + PerToken) * Expert) + Router));
        return (2 * parameters * tokens) + ((dense + mixtures) * (double)Heads * (Plain + Rotary + Value) * tokens * tokens);
    }

    /// <summary>config.json.</summary>
    /// <param name="dense">Dense layers.</param>
    /// <param name="mixtures">Layers with experts.</param>
    /// <param name="vocabulary">Tokens.</param>
    public JsonObject Config(int dense, int mixtures, int vocabulary) => new()
    {
        ["architectures"] = new JsonArray("DeepseekV3ForCausalLM"),
        ["model_type"] = "deepseek_v3",
        ["hidden_size"] = Hidden,
        ["intermediate_size"] = Intermediate,
        ["num_hidden_layers"] = dense + mixtures,
        ["num_nextn_predict_layers"] = 0,
        ["num_attention_heads"] = Heads,
        ["q_lora_rank"] = QueryRank,
        ["kv_lora_rank"] = Rank,
        ["qk_nope_head_dim"] = Plain,
        ["qk_rope_head_dim"] = Rotary,
        ["v_head_dim"] = Value,
        ["first_k_dense_replace"] = dense,
        ["moe_layer_freq"] = 1,
        ["moe_intermediate_size"] = Width,
        ["n_routed_experts"] = Experts,
        ["n_shared_experts"] = 1,
        ["num_experts_per_tok"] = PerToken,
        ["n_group"] = Groups,
        ["topk_group"] = GroupsPerToken,
        ["topk_method"] = "noaux_tc",
        ["scoring_func"] = "sigmoid",
        ["norm_topk_prob"] = true,
        ["routed_scaling_factor"] = 2.5,
        ["vocab_size"] = vocabulary,
        ["tie_word_embeddings"] = false,
        ["hidden_act"] = "silu",
        ["rms_norm_eps"] = 1e-6,
        ["rope_theta"] = 10_000,
        ["rope_scaling"] = new JsonObject
        {
            ["type"] = "yarn",
            ["factor"] = 40,
            ["beta_fast"] = 32,
            ["beta_slow"] = 1,
            ["mscale"] = 1.0,
            ["mscale_all_dim"] = 1.0,
            ["original_max_position_embeddings"] = 4096,
        },
        ["max_position_embeddings"] = 163_840,
        ["torch_dtype"] = "bfloat16",
        ["quantization_config"] = new JsonObject
        {
            ["quant_method"] = "fp8",
            ["fmt"] = "e4m3",
            ["activation_scheme"] = "dynamic",
            ["weight_block_size"] = new JsonArray(BlockEdge, BlockEdge),
        },
        ["bos_token_id"] = 0,
        ["eos_token_id"] = 1,
    };
}
