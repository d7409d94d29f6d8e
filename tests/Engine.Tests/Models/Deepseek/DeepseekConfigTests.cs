using System.Text;
using LocalLlm.Models;
using LocalLlm.Models.Deepseek;
using LocalLlm.Ops;
using Xunit;

namespace LocalLlm.Tests.Models.Deepseek;

public class DeepseekConfigTests
{
    // field, its JSON (null removes it), words the message must have
    public static TheoryData<string, string?, string[]> BadFields => new()
    {
        { "kv_lora_rank", null, ["kv_lora_rank", "is missing"] },
        { "kv_lora_rank", "0", ["kv_lora_rank", "found 0", "from 1 to 65536"] },
        { "kv_lora_rank", "\"512\"", ["kv_lora_rank", "found '512'"] },
        { "kv_lora_rank", "1e400", ["kv_lora_rank", "found 1e400"] },
        { "q_lora_rank", "-1", ["q_lora_rank", "found -1"] },
        { "q_lora_rank", "24.5", ["q_lora_rank", "found 24.5"] },
        { "qk_nope_head_dim", null, ["qk_nope_head_dim", "is missing"] },
        { "qk_nope_head_dim", "100000", ["qk_nope_head_dim", "from 1 to 1024"] },
        { "qk_rope_head_dim", null, ["qk_rope_head_dim", "is missing"] },
        { "qk_rope_head_dim", "7", ["qk_rope_head_dim", "found 7", "even"] },
        { "qk_rope_head_dim", "0", ["qk_rope_head_dim", "found 0"] },
        { "v_head_dim", null, ["v_head_dim", "is missing"] },
        { "v_head_dim", "-128", ["v_head_dim", "found -128"] },
        { "num_attention_heads", "0", ["num_attention_heads", "found 0"] },
        { "hidden_size", null, ["hidden_size", "is missing"] },
        { "intermediate_size", null, ["intermediate_size", "is missing"] },
        { "hidden_act", "\"gelu\"", ["hidden_act", "'gelu'", "silu"] },
        { "n_routed_experts", "0", ["n_routed_experts", "found 0"] },
        { "n_routed_experts", "100000", ["n_routed_experts", "found 100000", "4096"] },
        { "n_routed_experts", "[6]", ["n_routed_experts", "a list of 1"] },
        { "num_experts_per_tok", null, ["num_experts_per_tok", "is missing"] },
        { "num_experts_per_tok", "7", ["num_experts_per_tok", "found 7", "from 1 to 6"] },
        { "num_experts_per_tok", "5", ["topk_group", "num_experts_per_tok (5)"] },
        { "moe_intermediate_size", null, ["moe_intermediate_size", "is missing"] },
        { "moe_intermediate_size", "0", ["moe_intermediate_size", "found 0"] },
        { "n_shared_experts", "-1", ["n_shared_experts", "found -1"] },
        { "n_shared_experts", "100000", ["n_shared_experts", "found 100000"] },
        { "n_group", "4", ["n_group", "found 4", "a divisor of n_routed_experts (6)"] },
        { "n_group", "6", ["n_group", "found 6", "two best"] },
        { "n_group", "0", ["n_group", "found 0"] },
        { "topk_group", "4", ["topk_group", "found 4", "from 1 to 3"] },
        { "topk_group", "0", ["topk_group", "found 0"] },
        { "topk_method", "\"best\"", ["topk_method", "'best'", "noaux_tc"] },
        { "topk_method", "7", ["topk_method", "found 7", "a string"] },
        { "scoring_func", "\"tanh\"", ["scoring_func", "'tanh'", "softmax or sigmoid"] },
        { "norm_topk_prob", "1", ["norm_topk_prob", "found 1", "true or false"] },
        { "routed_scaling_factor", "0", ["routed_scaling_factor", "found 0", "above 0"] },
        { "routed_scaling_factor", "-2.5", ["routed_scaling_factor", "found -2.5"] },
        { "first_k_dense_replace", "-1", ["first_k_dense_replace", "found -1"] },
        { "moe_layer_freq", "0", ["moe_layer_freq", "found 0"] },
        { "moe_layer_freq", "[1,1,1]", ["moe_layer_freq", "a list of 3"] },
        { "num_nextn_predict_layers", "-1", ["num_nextn_predict_layers", "found -1"] },
        { "rope_interleave", "\"yes\"", ["rope_interleave", "'yes'", "true or false"] },
        { "attention_bias", "null2", ["not valid JSON"] },
        { "rope_scaling", """{"type":"yarn"}""", ["rope_scaling.factor", "is missing"] },
        { "rope_scaling", """{"type":"yarn","factor":4,"mscale":"1"}""", ["rope_scaling.mscale", "found '1'"] },
        { "rope_scaling", """{"type":"longrope","factor":4}""", ["rope_scaling.type", "'longrope'"] },
    };

    [Theory]
    [MemberData(nameof(BadFields))]
    public void A_bad_field_is_refused_by_name_in_one_sentence(string field, string? json, string[] words)
    {
        var error = Assert.Throws<EngineException>(() => Parse((field, json)));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.All(words, word => Assert.Contains(word, error.Message, StringComparison.Ordinal));
        Assert.InRange(error.Message.Length, 1, 400);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Too_many_experts_over_all_layers_are_refused()
    {
        var error = Assert.Throws<EngineException>(() => Parse(("n_routed_experts", "4096"), ("n_group", "1"), ("topk_group", "1"), ("num_hidden_layers", "1000")));
        Assert.Contains("n_routed_experts: found 4096, wanted at most 65", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Several_bad_fields_are_one_error()
    {
        var message = Assert.Throws<EngineException>(() => Parse(("kv_lora_rank", null), ("topk_method", "\"x\""), ("v_head_dim", "0"))).Message;
        Assert.All((string[])["kv_lora_rank", "topk_method", "v_head_dim"], field => Assert.Contains(field, message, StringComparison.Ordinal));
    }

    [Fact]
    public void Absent_fields_have_the_defaults_of_each_generation()
    {
        (string, string?)[] absent = [("topk_method", null), ("scoring_func", null), ("norm_topk_prob", null), ("routed_scaling_factor", null),
            ("first_k_dense_replace", null), ("moe_layer_freq", null), ("n_shared_experts", null), ("q_lora_rank", null), ("n_group", null), ("topk_group", null)];
        var third = Parse([.. absent, ("num_hidden_layers", "5"), ("n_routed_experts", "16")]);
        Assert.Equal((1536, 3, 1, false), (third.QLoraRank, third.FirstKDenseReplace, third.MoeLayerFreq, third.HasExperts(2)));
        Assert.Equal(new(28, 28, new()
        {
            Count = 16, PerToken = 2, Scoring = ExpertScoring.Sigmoid, Choice = ExpertChoice.NoAuxiliaryLoss, Groups = 8, GroupsPerToken = 4,
            NormalizesWeights = true, WeightScale = 2.5f,
        }), third.Experts);

        var second = Parse([.. absent, ("architectures", "[\"DeepseekV2ForCausalLM\"]"), ("model_type", "\"deepseek_v2\"")]);
        Assert.Equal((0, ExpertScoring.Softmax, ExpertChoice.Greedy, 1), (second.FirstKDenseReplace, second.Experts!.Routing.Scoring, second.Experts.Routing.Choice, second.Experts.Routing.Groups));
        Assert.Equal(0, second.Experts.SharedWidth);
        Assert.Equal((1, 1), (Parse([("n_group", "null"), ("topk_group", "null")]).Experts!.Routing.Groups, Parse([("n_group", "null")]).Experts!.Routing.GroupsPerToken));
        Assert.Equal((false, 1f), (second.Experts.Routing.NormalizesWeights, second.Experts.Routing.WeightScale));
    }

    [Theory]
    [InlineData("null")]
    [InlineData("0")]
    public void No_query_rank_is_a_plain_projection(string json) => Assert.Null(Parse(("q_lora_rank", json)).QLoraRank);

    [Fact]
    public void Without_routed_experts_every_layer_is_dense()
    {
        var config = Parse(("n_routed_experts", "null"));
        Assert.Null(config.Experts);
        Assert.False(config.HasExperts(2));
    }

    // DeepSeek-V2's own model code normalises or scales; V3's does both.
    [Theory]
    [InlineData("DeepseekV2ForCausalLM", true, true, 1f)]
    [InlineData("DeepseekV2ForCausalLM", false, false, 4f)]
    [InlineData("DeepseekV3ForCausalLM", true, true, 4f)]
    [InlineData("DeepseekV3ForCausalLM", false, false, 4f)]
    public void Weights_of_experts_are_normalised_and_scaled_as_their_generation_does(string architecture, bool asked, bool normalizes, float scale)
    {
        var routing = Parse(("architectures", $"[\"{architecture}\"]"), ("norm_topk_prob", asked ? "true" : "false"), ("routed_scaling_factor", "4")).Experts!.Routing;
        Assert.Equal((normalizes, scale), (routing.NormalizesWeights, routing.WeightScale));
    }

    [Theory]
    [InlineData(1, 1, "01111")]
    [InlineData(0, 2, "10101")]
    [InlineData(2, 2, "00101")]
    [InlineData(3, 1, "00011")]
    [InlineData(9, 1, "00000")]
    public void Layers_are_dense_or_experts_by_their_number(int firstDense, int frequency, string experts)
    {
        var config = Parse(("first_k_dense_replace", $"{firstDense}"), ("moe_layer_freq", $"{frequency}"), ("num_hidden_layers", "5"));
        Assert.Equal(experts, string.Concat(Enumerable.Range(0, 5).Select(layer => config.HasExperts(layer) ? '1' : '0')));
    }

    // V3 as published: 192^-0.5 times (0.1 ln 40 + 1)^2, cosines unscaled; V2-Lite: mscale 0.707 in both.
    [Theory]
    [InlineData("1.0", "1.0", 0.1352337788608801, 1)]
    [InlineData("0.707", "0.707", 0.1147213876247406, 1)]
    [InlineData("1.0", "0", 0.07216878364870322, 1.3688879454113937)]
    public void Yarns_temperature_enters_the_scale_of_the_scores_squared(string mscale, string allDim, double scale, double cosines)
    {
        var scaling = $$"""{"type":"yarn","factor":40,"original_max_position_embeddings":4096,"beta_fast":32,"beta_slow":1,"mscale":{{mscale}},"mscale_all_dim":{{allDim}}}""";
        var config = Parse(("qk_nope_head_dim", "128"), ("qk_rope_head_dim", "64"), ("rope_scaling", scaling), ("max_position_embeddings", "163840"));
        Assert.Equal(scale, config.Attention.Shape.Scale, 1e-6);
        Assert.Equal(cosines, config.Rope.AttentionFactor!.Value, 1e-6);
        Assert.Equal(163_840, config.MaxModelLength);
    }

    private static DeepseekConfig Parse(params (string Field, string? Json)[] changes)
    {
        var fields = DeepseekFolder.Config().ToDictionary(pair => pair.Key, pair => pair.Value!.ToJsonString());
        foreach (var (field, json) in changes)
        {
            if (json is null)
                fields.Remove(field);
            else
                fields[field] = json;
        }

        var text = "{" + string.Join(',', fields.Select(pair => $"\"{pair.Key}\":{pair.Value}")) + "}";
        return (DeepseekConfig)ModelConfig.Parse(Encoding.UTF8.GetBytes(text));
    }
}
