using System.Text.Json.Nodes;
using LocalLlm.Planning;
using LocalLlm.Tests.Models.Deepseek;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Planning;

/// <summary>Which cards the full DeepSeek needs, with its experts and its layer of multi-token prediction.</summary>
public sealed class DeepseekPlanTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData("H200", 8, 1, 1, PlanVerdict.Fits)]
    [InlineData("H100", 8, 1, 1, PlanVerdict.DoesNotFit)]
    [InlineData("H100", 8, 2, 2, PlanVerdict.Fits)]
    [InlineData("A100-80G", 8, 2, 2, PlanVerdict.Fits)]
    public async Task In_8_bits_671B_needs_8_H200s_or_16_cards_of_80_GB(string card, int tensor, int pipeline, int nodes, PlanVerdict verdict)
    {
        var plan = await PlanAsync(PublishedConfigs.V3, card, new() { TensorParallel = tensor, PipelineParallel = pipeline, Nodes = nodes });
        Assert.Equal(verdict, plan.Verdict);
        // A latent vector and the rotated part of a key, in every layer: 576 elements of 2 bytes, on every rank.
        Assert.Equal(61 * 576 * 2, plan.KvBytesPerToken);
    }

    [Theory]
    [InlineData("H100", null)]
    [InlineData("H200", null)]
    [InlineData("A100-80G", "an A100-80G has 8.0")]
    [InlineData("L40S", "an L40S has 8.9")]
    [InlineData("B200", "a B200-180G has 10.0")]
    [InlineData("RTX5090", "an RTX5090 has 12.0")]
    public async Task Cards_on_which_8_bit_weights_are_widened_are_named_with_their_capability(string card, string? has)
    {
        var plan = await PlanAsync(PublishedConfigs.V3, card, new() { TensorParallel = 8, PipelineParallel = 4, Nodes = 4 });
        var notes = plan.Notes.Where(note => note.Contains("multiplies 8-bit floats by 8-bit floats", StringComparison.Ordinal)).ToList();
        if (has is null)
            Assert.Empty(notes);
        else
            Assert.Contains($"on compute capability 9.0 alone (Hopper), and {has}: the weights stay", Assert.Single(notes), StringComparison.Ordinal);
    }

    // A token reads 8 of the 256 routed experts of a layer; if it read all of them, a step would take 14 times as long.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_token_is_predicted_by_the_bytes_of_its_own_experts(bool wholeExperts)
    {
        const long hidden = 7168, heads = 128, ranks = 8;
        const long expert = 3 * hidden * 2048;
        // Each rank has the whole down projections; the up projection to keys and values is in 16 bits.
        const long attention = ((1536 + 576) * hidden) + (((heads * 192 * 1536) + (hidden * heads * 128) + (2 * heads * 256 * 512)) / ranks);
        const long sparse = attention + ((8 + 1) * expert / ranks) + (sizeof(float) * 256 * hidden);
        const long dense = attention + (3 * hidden * 18432 / ranks);
        const long bytes = (58 * sparse) + (3 * dense) + (2 * 129280 * hidden / ranks);
        var plan = await PlanAsync(PublishedConfigs.V3, "H200", new() { TensorParallel = (int)ranks, EnableExpertParallel = wholeExperts });
        // Scales and norms are the rest.
        Assert.InRange(plan.Prediction!.WeightSeconds * 4.8e12, bytes, 1.002 * bytes);
        Assert.Equal(61 * 576 * 2 * 4096.0, plan.Prediction.KvCacheSeconds * 4.8e12, 1.0);
        Assert.True(plan.Ranks[0].WeightBytes > 14 * bytes);
    }

    [Fact]
    public async Task In_16_bits_16_cards_of_80_GB_are_too_few_whatever_the_settings()
    {
        var config = JsonNode.Parse(PublishedConfigs.V3)!.AsObject();
        config.Remove("quantization_config");
        var plan = await PlanAsync(config.ToJsonString(), "A100-80G", new() { TensorParallel = 8, PipelineParallel = 2, Nodes = 2 });
        Assert.Equal(PlanVerdict.DoesNotFit, plan.Verdict);
        Assert.InRange(plan.WeightBytes, 1_340_000_000_000, 1_345_000_000_000);
        Assert.Equal(PlanVerdict.Fits, (await PlanAsync(config.ToJsonString(), "H200", new() { TensorParallel = 8, PipelineParallel = 2, Nodes = 2 })).Verdict);
    }

    [Fact]
    public async Task Whole_experts_take_as_many_bytes_as_split_ones_and_any_width()
    {
        var parts = await PlanAsync(PublishedConfigs.V3, "H200", new() { TensorParallel = 8 });
        var whole = await PlanAsync(PublishedConfigs.V3, "H200", new() { TensorParallel = 8, EnableExpertParallel = true });
        Assert.Equal((double)parts.Ranks[0].WeightBytes, whole.Ranks[0].WeightBytes, 0.001 * parts.Ranks[0].WeightBytes);
        Assert.Contains("--enable-expert-parallel", whole.CommandLine, StringComparison.Ordinal);

        var config = JsonNode.Parse(PublishedConfigs.V3)!.AsObject();
        config["moe_intermediate_size"] = 2047;
        config["n_shared_experts"] = 8;
        Assert.Equal(PlanVerdict.Invalid, (await PlanAsync(config.ToJsonString(), "H200", new() { TensorParallel = 8 })).Verdict);
        Assert.Equal(PlanVerdict.Fits, (await PlanAsync(config.ToJsonString(), "H200", new() { TensorParallel = 8, EnableExpertParallel = true })).Verdict);
    }

    // Each of eight cards has all of attention, and 32 of the 256 experts of every layer. One card caches a token, instead of all cards.
    [Fact]
    public async Task Eight_groups_keep_other_tokens_each_and_share_the_experts()
    {
        var split = await PlanAsync(PublishedConfigs.V3, "H200", new() { TensorParallel = 8, EnableExpertParallel = true });
        var groups = await PlanAsync(PublishedConfigs.V3, "H200", new() { DataParallel = 8, EnableExpertParallel = true });
        Assert.Equal(PlanVerdict.Fits, groups.Verdict);
        Assert.Equal(Enumerable.Range(0, 8), groups.Ranks.Select(rank => rank.Group));
        Assert.All(groups.Ranks, rank => Assert.Equal((0, 128), (rank.FirstHead, rank.NumHeads)));
        // The other plan holds an eighth of what is not routed experts (17.2 B of 671 B parameters, in 8 and 16 bits); this one holds the
        // other seven eighths too.
        Assert.InRange(groups.Ranks[0].WeightBytes - split.Ranks[0].WeightBytes, 13_000_000_000, 22_000_000_000);
        Assert.Equal(61 * 576 * 2, groups.Ranks[0].KvBytesPerToken);
        Assert.True(8 * groups.KvCacheTokens > 4 * split.KvCacheTokens, $"8 x {groups.KvCacheTokens} {split.KvCacheTokens}");
        Assert.Equal(
            "localllm serve " + _folder.Path + " --data-parallel-size 8 --enable-expert-parallel", groups.CommandLine);
        Assert.DoesNotContain(groups.Notes, note => note.Contains("not run", StringComparison.Ordinal));

        // 58 layers with experts gather rows of 7,168 elements of 2 bytes, and return as many.
        var step = groups.Prediction!;
        Assert.Equal((0, 116, 58 * 2L * 7168 * 2), (step.AllReduces, step.Exchanges, step.ExchangeBytesPerToken));
        Assert.Contains("116 exchanges between 8 groups x 2.2 us (assumed)", step.Arithmetic, StringComparison.Ordinal);
        Assert.Equal(step.StepSeconds, step.WeightSeconds + step.KvCacheSeconds + step.ExchangeTime, 1e-9);
        var both = (await PlanAsync(PublishedConfigs.V3, "H200", new() { TensorParallel = 2, DataParallel = 4, EnableExpertParallel = true })).Prediction!;
        // All-reduces: attention of 61 layers, three dense layers, the shared experts of 58, embedding and logits.
        Assert.Equal((61 + 3 + 58 + 2, 116), (both.AllReduces, both.Exchanges));
    }

    // 32 copies in each of 58 layers, over 8 ranks, add 4 experts to each layer of a rank: 3 x 7,168 x 2,048 elements of a byte each, and
    // scales.
    [Fact]
    public async Task Redundant_experts_take_memory_on_every_rank()
    {
        var options = new EngineOptions { DataParallel = 8, EnableExpertParallel = true, MaxNumBatchedTokens = 1024, MaxNumSeqs = 64 };
        var plain = await PlanAsync(PublishedConfigs.V3, "H200", options);
        var copied = await PlanAsync(PublishedConfigs.V3, "H200", options with { ExpertBalancing = new() { NumRedundantExperts = 32 } });
        Assert.Equal(58 * 4 * 3.0 * 7168 * 2048, copied.Ranks[0].WeightBytes - plain.Ranks[0].WeightBytes, 0.001 * 58 * 4 * 3 * 7168 * 2048);
        Assert.Equal((plain.Parameters, plain.WeightBytes), (copied.Parameters, copied.WeightBytes));
        Assert.Contains(
            """--enable-expert-parallel --enable-eplb --eplb-config '{"num_redundant_experts":32,"window_size":1000,"step_interval":3000}'""",
            copied.CommandLine, StringComparison.Ordinal);
    }

    // 256 experts and 4 copies are divisible by 4, not by 8. No plan with experts shared between nodes is offered.
    [Theory]
    [InlineData(4, "L40S")]
    [InlineData(4, "H200")]
    public async Task What_is_offered_is_what_the_engine_takes(int groups, string card)
    {
        var options = new EngineOptions { DataParallel = groups, EnableExpertParallel = true, ExpertBalancing = new() { NumRedundantExperts = 4 } };
        var plan = await PlanAsync(PublishedConfigs.V3, card, options);
        Assert.Equal(PlanVerdict.DoesNotFit, plan.Verdict);
        PlanChoice[] offers = plan.Smallest is { } smallest ? [.. plan.Alternatives, smallest] : [.. plan.Alternatives];
        Assert.All(offers, offer =>
        {
            Assert.Equal(offer.TensorParallel > 1, offer.CommandLine.Contains("--enable-eplb", StringComparison.Ordinal));
            if (offer.TensorParallel > 1)
                Assert.Equal((1, 0), (offer.Nodes, (256 + 4) % offer.TensorParallel));
        });
    }

    [Fact]
    public async Task A_plan_that_is_chosen_has_balanced_experts_where_it_has_ranks_to_balance()
    {
        using var folder = new DeepseekFolder();
        var options = new EngineOptions { ModelPath = folder.Path, EnableExpertParallel = true, ExpertBalancing = new() };
        var plan = await ModelPlanner.PlanAsync(
            new() { Options = options, Cards = [KnownCards.Find("H200")], ChoosesPlan = true, DevicesPerNode = 8 }, TestContext.Current.CancellationToken);
        Assert.Empty(plan.Faults);
        Assert.Equal(1, plan.TensorParallel);
        Assert.DoesNotContain("--enable-eplb", plan.CommandLine, StringComparison.Ordinal);
        Assert.Contains(plan.Notes, note => note.EndsWith("planned without enable_eplb", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_dense_model_cannot_spread_experts()
    {
        var plan = await PlanAsync(PublishedConfigs.Qwen7B, "H100", new() { EnableExpertParallel = true });
        Assert.Equal(PlanVerdict.Invalid, plan.Verdict);
        Assert.Contains("enable_expert_parallel is set, but the model has no experts", plan.Faults.Single(), StringComparison.Ordinal);
    }

    // The layer has 11.5 B parameters of its own, as the model's authors count them, and caches latent vectors on the last stage.
    [Fact]
    public async Task Multi_token_prediction_is_one_more_layer_on_the_last_stage()
    {
        var options = new EngineOptions { TensorParallel = 8, PipelineParallel = 2, Nodes = 2, PipelineLayers = [31, 30] };
        var plain = await PlanAsync(PublishedConfigs.V3, "H100", options);
        var predicting = await PlanAsync(PublishedConfigs.V3, "H100", options with { Speculation = new() { Method = "mtp", NumSpeculativeTokens = 1 } });
        Assert.Equal(plain.Ranks[0].WeightBytes, predicting.Ranks[0].WeightBytes);
        var added = predicting.Ranks.Skip(8).Sum(rank => rank.WeightBytes) - plain.Ranks.Skip(8).Sum(rank => rank.WeightBytes);
        // Every rank holds what is not split, and the stage has an embedding of its own: 129,280 x 7,168 elements of 2 bytes.
        Assert.InRange(added, 13_200_000_000, 15_300_000_000);
        Assert.Equal(576 * 2, predicting.Ranks[8].KvBytesPerToken - plain.Ranks[8].KvBytesPerToken);
        Assert.Equal(576 * 2, predicting.KvBytesPerToken - plain.KvBytesPerToken);
        Assert.Contains("""--speculative-config '{"method":"mtp","num_speculative_tokens":1}'""", predicting.CommandLine, StringComparison.Ordinal);
    }

    // 58 layers each have a router of 256 x 7,168 in bfloat16 beside its float32 matrix, and multi-token prediction adds one. With groups
    // that gather their rows, every card has them. Float16 has the same widths and no such parts.
    [Theory]
    [InlineData(512, 1, null, 58)]
    [InlineData(511, 1, null, 0)]
    [InlineData(64, 8, null, 58)]
    [InlineData(8192, 1, "mtp", 59)]
    public async Task Routers_of_many_rows_are_counted_in_bfloat16_too(int stepTokens, int groups, string? method, int routers)
    {
        var options = new EngineOptions
        {
            TensorParallel = 8 / groups, DataParallel = groups, EnableExpertParallel = groups > 1, MaxNumBatchedTokens = stepTokens, MaxNumSeqs = 32,
            Speculation = method is null ? null : new() { Method = method, NumSpeculativeTokens = 1 },
        };
        var halves = await PlanAsync(PublishedConfigs.V3, "H200", options with { Dtype = "float16" });
        var plan = await PlanAsync(PublishedConfigs.V3, "H200", options);
        Assert.All(plan.Ranks.Zip(halves.Ranks), pair =>
        {
            Assert.Equal(routers * 256L * 7168 * 2, pair.First.ActivationBytes - pair.Second.ActivationBytes);
            Assert.Equal(pair.Second.WeightBytes, pair.First.WeightBytes);
        });

        // A checkpoint in float32 has up to three such parts of each router.
        var wide = JsonNode.Parse(PublishedConfigs.V3)!.AsObject();
        wide["torch_dtype"] = "float32";
        Assert.Equal(
            2 * routers * 256L * 7168 * 2,
            (await PlanAsync(wide.ToJsonString(), "H200", options with { Dtype = "bfloat16" })).Ranks[0].ActivationBytes - plan.Ranks[0].ActivationBytes);
    }

    [Fact]
    public async Task A_model_without_a_layer_for_it_cannot_be_planned_with_multi_token_prediction()
    {
        var plan = await PlanAsync(PublishedConfigs.Qwen7B, "H100", new() { Speculation = new() { Method = "mtp", NumSpeculativeTokens = 1 } });
        Assert.Equal((PlanVerdict.Invalid, "speculative_config"), (plan.Verdict, plan.Parameter));
        Assert.Contains("speculative_config has the method mtp, but this Qwen2ForCausalLM has no layer for multi-token prediction", plan.Faults.Single(), StringComparison.Ordinal);
        Assert.Empty(plan.Alternatives);
    }

    [Fact]
    public async Task What_runs_on_CPUs_only_is_planned_on_GPUs_and_said_not_to_run()
    {
        var options = new EngineOptions { TensorParallel = 8, EnableExpertParallel = true };
        Assert.DoesNotContain((await PlanAsync(PublishedConfigs.V3, "H200", options)).Notes, note => note.Contains("not run", StringComparison.Ordinal));
        Assert.DoesNotContain((await PlanAsync(PublishedConfigs.V3, "H200", options with { ExpertBalancing = new() })).Notes, note => note.Contains("not run", StringComparison.Ordinal));
        Assert.DoesNotContain((await PlanAsync(PublishedConfigs.V3, "H200", options with { KvCacheDtype = "fp8" })).Notes, note => note.Contains("not run", StringComparison.Ordinal));
        Assert.Contains(
            "this build is batch-invariant on CPUs only: it is planned, not run",
            (await PlanAsync(PublishedConfigs.V3, "H200", options with { BatchInvariant = true })).Notes);
    }

    [Fact]
    public async Task Latent_vectors_of_8_bit_floats_take_a_byte_an_element_and_one_for_their_scale()
    {
        var options = new EngineOptions { TensorParallel = 8, EnableExpertParallel = true };
        var (wide, narrow) = (await PlanAsync(PublishedConfigs.V3, "H200", options), await PlanAsync(PublishedConfigs.V3, "H200", options with { KvCacheDtype = "fp8" }));
        Assert.Equal((61 * 576 * 2, 61 * 577), (wide.KvBytesPerToken, narrow.KvBytesPerToken));
        Assert.InRange((double)narrow.KvCacheTokens / wide.KvCacheTokens, 1.99, 2);
    }

    // Plans with groups do not record steps. The smaller plans that are offered beside them have no groups, and record steps.
    [Fact]
    public async Task Recorded_steps_take_memory_of_those_plans_alone_that_record_any()
    {
        var split = new EngineOptions { TensorParallel = 8, EnableExpertParallel = true };
        var groups = new EngineOptions { DataParallel = 8, EnableExpertParallel = true };
        var drafting = split with { Speculation = new() { Method = "mtp", NumSpeculativeTokens = 1 } };
        foreach (var (options, records) in ((EngineOptions, bool)[])
            [(split, true), (split with { EnforceEager = true }, false), (groups, false), (split with { ExpertBalancing = new() }, false), (drafting, false)])
        {
            var plan = await PlanAsync(PublishedConfigs.V3, "H200", options);
            Assert.All(plan.Ranks, rank => Assert.Equal(records ? CapacityPlanner.GraphAllowance : 0, rank.GraphBytes));
        }

        // A tight plan that records nothing would gain nothing from --enforce-eager.
        var tight = await PlanAsync(PublishedConfigs.V3, "H200", groups with { MaxNumBatchedTokens = 14_000 });
        Assert.Equal(PlanVerdict.Tight, tight.Verdict);
        Assert.DoesNotContain("--enforce-eager", tight.CommandLine, StringComparison.Ordinal);
        Assert.EndsWith("--enforce-eager", (await PlanAsync(PublishedConfigs.V3, "H200", groups)).Smallest!.CommandLine, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Modules_that_are_kept_unquantised_and_are_none_of_the_models_are_named()
    {
        var config = JsonNode.Parse(PublishedConfigs.Qwen7B)!.AsObject();
        config["quantization_config"] = JsonNode.Parse("""{"quant_method":"fp8","weight_block_size":[128,128],"modules_to_not_convert":["lm_head","a","b","c","d"]}""");
        Assert.Contains(
            "config.json lists unquantised modules that this plan does not have: 'a', 'b', 'c' and 1 more",
            (await PlanAsync(config.ToJsonString(), "H100", new())).Notes);
    }

    public void Dispose() => _folder.Dispose();

    private Task<ModelPlan> PlanAsync(string config, string card, EngineOptions options)
    {
        _folder.Write("config.json", config);
        return ModelPlanner.PlanAsync(
            new() { Options = options with { ModelPath = _folder.Path }, Cards = [KnownCards.Find(card)], DevicesPerNode = 8 }, TestContext.Current.CancellationToken);
    }
}
