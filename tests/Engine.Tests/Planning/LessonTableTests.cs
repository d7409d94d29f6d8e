using LocalLlm.Planning;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Planning;

/// <summary>Which cards each distilled DeepSeek-R1 needs: courses teach this table, and the tests calculate it.</summary>
public sealed class LessonTableTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task One_T4_holds_7B_with_little_room_for_its_KV_cache()
    {
        var plan = await PlanAsync(PublishedConfigs.Qwen7B, "T4");
        Assert.Equal((PlanVerdict.Tight, "float16", 1), (plan.Verdict, plan.Dtype, plan.Smallest!.Devices));
        Assert.InRange(plan.WeightBytes / (double)(1L << 30), 14.18, 14.19);
        // Less than one sequence of 4,096 tokens.
        Assert.InRange(plan.KvCacheTokens, 1024, 4095);
        Assert.Equal(57_344, plan.KvBytesPerToken);
        Assert.Contains("--dtype float16 --gpu-memory-utilization 0.99", plan.CommandLine, StringComparison.Ordinal);
        Assert.Contains(plan.Notes, note => note.Contains("bfloat16", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_larger_card_counts_as_one_of_the_memory_that_is_given()
    {
        var whole = await PlanAsync(PublishedConfigs.Qwen7B, "H200");
        var capped = await PlanAsync(PublishedConfigs.Qwen7B, "H200", gpuMemory: KnownCards.Find("T4").MemoryBytes);
        var small = await PlanAsync(PublishedConfigs.Qwen7B, "T4");
        Assert.Equal((PlanVerdict.Fits, PlanVerdict.Tight), (whole.Verdict, capped.Verdict));
        Assert.Equal(small.KvCacheTokens, capped.KvCacheTokens);
        Assert.Contains("gpu_memory has each GPU count as one of 14.85 GiB", capped.Notes);
        Assert.Contains("--gpu-memory ", capped.CommandLine, StringComparison.Ordinal);
    }

    [Fact]
    public async Task More_memory_than_the_card_has_is_refused_by_name()
    {
        var refusal = await Assert.ThrowsAsync<EngineException>(() => PlanAsync(PublishedConfigs.Qwen7B, "T4", gpuMemory: 80L << 30));
        Assert.Equal("gpu_memory", refusal.Parameter);
    }

    [Theory]
    [InlineData("T4", true)]
    [InlineData("V100-16G", false)]
    public async Task A_card_older_than_Turing_is_planned_and_not_run(string card, bool runs)
    {
        var plan = await PlanAsync(PublishedConfigs.Qwen7B, card);
        Assert.Equal(!runs, plan.Notes.Any(note => note.Contains("compute capability 7.5 or newer", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Four_T4s_are_too_few_for_32B_and_say_why()
    {
        var plan = await PlanAsync(PublishedConfigs.Qwen32B, "T4", tensor: 4);
        Assert.Equal(PlanVerdict.DoesNotFit, plan.Verdict);
        // All cards together have less memory than the weights alone need.
        Assert.Contains("all weights are 61.03 GiB, all devices have 59.40 GiB", plan.Faults.Single(), StringComparison.Ordinal);
        Assert.All(plan.Ranks, rank => Assert.True(rank.WeightBytes > rank.BudgetBytes));
        Assert.Equal((5, 1, 5), (plan.Smallest!.Devices, plan.Smallest.TensorParallel, plan.Smallest.PipelineParallel));
    }

    [Fact]
    public async Task Five_T4s_hold_32B_in_stages_and_cannot_split_its_heads()
    {
        var refused = await PlanAsync(PublishedConfigs.Qwen32B, "T4", tensor: 5);
        Assert.Equal((PlanVerdict.Invalid, 0), (refused.Verdict, refused.Ranks.Count));
        Assert.Contains("8 key and value heads are not divisible by 5", refused.Faults.Single(), StringComparison.Ordinal);
        Assert.Equal((1, 5), (refused.Alternatives[0].TensorParallel, refused.Alternatives[0].PipelineParallel));
        Assert.Contains("--pipeline-parallel-size 5", refused.Alternatives[0].CommandLine, StringComparison.Ordinal);

        var plan = await PlanAsync(PublishedConfigs.Qwen32B, "T4", pipeline: 5);
        Assert.Equal((PlanVerdict.Tight, 5), (plan.Verdict, plan.Ranks.Count));
        // The first and the last stage have fewer layers: one holds the embedding, one the head.
        Assert.Equal((12, 12), (plan.Ranks[0].NumLayers, plan.Ranks[4].NumLayers));
        Assert.Equal(64, plan.Ranks.Sum(rank => rank.NumLayers));
        Assert.Equal(plan.WeightBytes, plan.Ranks.Sum(rank => rank.WeightBytes));
    }

    [Fact]
    public async Task Two_A100s_of_80_GB_hold_70B()
    {
        var plan = await PlanAsync(PublishedConfigs.Llama70B, "A100-80G", perNode: 2, chooses: true);
        Assert.Equal((PlanVerdict.Fits, 2, 1), (plan.Verdict, plan.TensorParallel, plan.PipelineParallel));
        Assert.Equal(163_840, plan.Ranks[0].KvBytesPerToken);
        Assert.Equal(PlanVerdict.DoesNotFit, (await PlanAsync(PublishedConfigs.Llama70B, "A100-80G")).Verdict);
        // 69.5 GB of weights and 0.67 GB of KV cache at 2,039 GB/s, 162 all-reduces.
        Assert.InRange(plan.Prediction!.TokensPerSecond, 28, 29);
        Assert.Equal(162, plan.Prediction.AllReduces);
    }

    [Theory]
    [InlineData("A100-80G")]
    [InlineData("H100")]
    public async Task Sixteen_cards_of_80_GB_hold_671B_as_8_x_2(string card)
    {
        var plan = await PlanAsync(PublishedConfigs.V3, card, nodes: 2, perNode: 8, chooses: true);
        Assert.Equal((PlanVerdict.Fits, 8, 2, 2), (plan.Verdict, plan.TensorParallel, plan.PipelineParallel, plan.Nodes));
        Assert.Contains("--tensor-parallel-size 8 --pipeline-parallel-size 2 --nnodes 2 --node-rank <0|1> --master-addr <node 0>", plan.CommandLine, StringComparison.Ordinal);
        Assert.Equal(PlanVerdict.DoesNotFit, (await PlanAsync(PublishedConfigs.V3, card, tensor: 8)).Verdict);
        Assert.Equal(16, plan.Smallest!.Devices);
        Assert.DoesNotContain(plan.Notes, note => note.Contains("does not run", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Weights_of_a_rank_are_its_part_and_what_is_not_split()
    {
        var plan = await PlanAsync(PublishedConfigs.Llama70B, "H100", tensor: 4, pipeline: 2);
        // Every rank holds the norms: 2 of 8,192 in each of 80 layers, and one behind them.
        const long norms = 2L * 8192 * ((2 * 80) + 1);
        Assert.Equal(plan.WeightBytes + (3 * norms), plan.Ranks.Sum(rank => rank.WeightBytes));
        Assert.Equal(8, plan.Ranks.Count);
    }

    [Fact]
    public async Task Stages_have_cards_of_their_own()
    {
        _folder.Write("config.json", PublishedConfigs.Qwen14B);
        var plan = await ModelPlanner.PlanAsync(
            new() { Options = new() { ModelPath = _folder.Path, PipelineParallel = 2 }, Cards = [KnownCards.Find("L4"), KnownCards.Find("L40S")] },
            TestContext.Current.CancellationToken);
        Assert.Equal(PlanVerdict.Fits, plan.Verdict);
        Assert.True(plan.Ranks[1].NumLayers > 1.5 * plan.Ranks[0].NumLayers, $"{plan.Ranks[0].NumLayers} and {plan.Ranks[1].NumLayers}");
        Assert.Equal(("L4", "L40S"), (plan.Ranks[0].Card, plan.Ranks[1].Card));
    }

    [Fact]
    public async Task A_length_that_was_asked_for_must_fit()
    {
        Assert.Equal(PlanVerdict.Fits, (await PlanAsync(PublishedConfigs.Llama70B, "A100-80G", tensor: 2, length: 40_000)).Verdict);
        var plan = await PlanAsync(PublishedConfigs.Llama70B, "A100-80G", tensor: 2, length: 131_072);
        Assert.Equal(PlanVerdict.DoesNotFit, plan.Verdict);
        Assert.Contains("131,072 are wanted", plan.Faults.Single(), StringComparison.Ordinal);
        Assert.Contains("--max-model-len 131072", plan.Alternatives[0].CommandLine, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private Task<ModelPlan> PlanAsync(string config, string card, int tensor = 1, int pipeline = 1, int nodes = 1, int? perNode = null, bool chooses = false, int? length = null, long? gpuMemory = null)
    {
        _folder.Write("config.json", config);
        return ModelPlanner.PlanAsync(
            new()
            {
                Options = new() { ModelPath = _folder.Path, TensorParallel = tensor, PipelineParallel = pipeline, Nodes = nodes, MaxModelLen = length, GpuMemoryBytes = gpuMemory },
                Cards = [KnownCards.Find(card)],
                DevicesPerNode = perNode,
                ChoosesPlan = chooses,
            },
            TestContext.Current.CancellationToken);
    }
}
