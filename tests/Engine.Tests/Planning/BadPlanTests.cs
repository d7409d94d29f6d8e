using LocalLlm.Planning;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Planning;

public class BadPlanTests
{
    [Theory]
    [MemberData(nameof(BadPlans.All), MemberType = typeof(BadPlans))]
    public async Task A_bad_plan_says_what_is_wrong_and_what_would_fit(
        string config, string sizes, int perNode, string? layers, string card, string option, string says, string? offered)
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", config);
        var (tensor, pipeline, nodes) = Sizes(sizes);
        var plan = await ModelPlanner.PlanAsync(
            new()
            {
                Options = new()
                {
                    ModelPath = folder.Path, TensorParallel = tensor, PipelineParallel = pipeline, Nodes = nodes,
                    PipelineLayers = layers?.Split(',').Select(int.Parse).ToArray(),
                },
                Cards = [KnownCards.Find(card)],
                DevicesPerNode = perNode == 0 ? null : perNode,
            },
            TestContext.Current.CancellationToken);
        var refusal = Assert.Throws<EngineException>(plan.ThrowIfUnfit);
        Assert.Equal((EngineErrorKind.InvalidOptions, option), (refusal.Kind, refusal.Parameter));
        Assert.Equal(says, refusal.Message.Split('\n')[0]);
        Assert.NotEmpty(plan.Alternatives);
        if (offered is not null)
            Assert.Equal(Sizes(offered), (plan.Alternatives[0].TensorParallel, plan.Alternatives[0].PipelineParallel, plan.Alternatives[0].Nodes));
        foreach (var choice in plan.Alternatives)
        {
            // Every plan that is offered fits: when requested, it is not refused.
            Assert.Contains("\n  ", refusal.Message, StringComparison.Ordinal);
            Assert.Contains(choice.CommandLine, refusal.Message, StringComparison.Ordinal);
            var again = await ModelPlanner.PlanAsync(
                new()
                {
                    Options = new() { ModelPath = folder.Path, TensorParallel = choice.TensorParallel, PipelineParallel = choice.PipelineParallel, Nodes = choice.Nodes },
                    Cards = [KnownCards.Find(card)],
                },
                TestContext.Current.CancellationToken);
            Assert.Equal(choice.IsTight ? PlanVerdict.Tight : PlanVerdict.Fits, again.Verdict);
            Assert.Equal(choice.KvCacheTokens, again.KvCacheTokens);
        }
    }

    [Theory]
    [MemberData(nameof(BadPlans.OfGroups), MemberType = typeof(BadPlans))]
    public async Task Bad_groups_say_what_is_wrong(string config, string sizes, bool whole, string option, string says)
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", config);
        var numbers = sizes.Split(' ').Select(int.Parse).ToArray();
        var options = new EngineOptions
        {
            ModelPath = folder.Path, TensorParallel = numbers[0], PipelineParallel = numbers[1], DataParallel = numbers[2], Nodes = numbers[3], EnableExpertParallel = whole,
        };
        var plan = await ModelPlanner.PlanAsync(new() { Options = options, Cards = [KnownCards.Find("H200")] }, TestContext.Current.CancellationToken);
        var refusal = Assert.Throws<EngineException>(plan.ThrowIfUnfit);
        Assert.Equal((EngineErrorKind.InvalidOptions, option), (refusal.Kind, refusal.Parameter));
        Assert.Equal(says, refusal.Message.Split('\n')[0]);
        Assert.All(plan.Alternatives, choice => Assert.DoesNotContain("--data-parallel-size", choice.CommandLine, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(2, true, -1, 1, 1, "eplb_config", "eplb_config has num_redundant_experts -1; 0 or more.")]
    [InlineData(2, true, 0, 0, 3, "eplb_config", "eplb_config has window_size 0; 1 to step_interval (3), as the loads of an interval are measured at its end.")]
    [InlineData(2, true, 0, 4, 3, "eplb_config", "eplb_config has window_size 4; 1 to step_interval (3), as the loads of an interval are measured at its end.")]
    [InlineData(2, true, 0, 1, 0, "eplb_config", "eplb_config has step_interval 0; 1 or more.")]
    [InlineData(2, false, 0, 1, 1, "enable_eplb", "enable_eplb is set, but enable_expert_parallel is not: only whole experts are moved; set both, or none.")]
    [InlineData(1, true, 0, 1, 1, "enable_eplb", "enable_eplb is set, but one rank holds all experts of a stage; raise data_parallel_size or tensor_parallel_size, or leave it out.")]
    [InlineData(8, true, 30, 1, 1, "eplb_config", "eplb_config has num_redundant_experts 30, which with the model's 256 experts are 286, not divisible by the 8 ranks of a stage; such as 32.")]
    [InlineData(2, true, 258, 1, 1, "eplb_config", "eplb_config has num_redundant_experts 258; at most 256, every expert on each of the 2 ranks of a stage.")]
    [InlineData(2, true, 257, 1, 1, "eplb_config", "eplb_config has num_redundant_experts 257; at most 256, every expert on each of the 2 ranks of a stage.")] // no larger one is offered
    public async Task Bad_redundant_experts_say_what_is_wrong(int groups, bool whole, int redundant, int window, int interval, string option, string says)
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", PublishedConfigs.V3);
        var options = new EngineOptions
        {
            ModelPath = folder.Path, DataParallel = groups, EnableExpertParallel = whole,
            ExpertBalancing = new() { NumRedundantExperts = redundant, WindowSize = window, StepInterval = interval },
        };
        var plan = await ModelPlanner.PlanAsync(new() { Options = options, Cards = [KnownCards.Find("H200")] }, TestContext.Current.CancellationToken);
        var refusal = Assert.Throws<EngineException>(plan.ThrowIfUnfit);
        Assert.Equal((EngineErrorKind.InvalidOptions, option), (refusal.Kind, refusal.Parameter));
        Assert.Equal(says, refusal.Message.Split('\n')[0]);
    }

    [Fact]
    public void Balanced_experts_beside_batch_invariance_are_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", PublishedConfigs.V3);
        var options = new EngineOptions { ModelPath = folder.Path, DataParallel = 2, EnableExpertParallel = true, ExpertBalancing = new() };
        Assert.Equal(2, ParallelPlanner.Create(options, localDevices: null).DataParallel);
        var refusal = Assert.Throws<EngineException>(() => ParallelPlanner.Create(options with { BatchInvariant = true }, localDevices: null));
        Assert.Equal((EngineErrorKind.InvalidOptions, "enable_eplb"), (refusal.Kind, refusal.Parameter));
        Assert.StartsWith("enable_eplb is set, but batch_invariant is, too: ", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Balanced_experts_of_one_rank_are_refused_before_weights_are_read()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", PublishedConfigs.V3);
        var refusal = Assert.Throws<EngineException>(() => ParallelPlanner.Create(new EngineOptions { ModelPath = folder.Path, ExpertBalancing = new() }, localDevices: null));
        Assert.Equal("enable_eplb", refusal.Parameter);
    }

    [Fact]
    public void Every_fault_is_in_one_error_and_the_options_of_an_engine_are_checked_before_its_weights()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", PublishedConfigs.Qwen32B);
        var options = new EngineOptions { ModelPath = folder.Path, TensorParallel = 5, PipelineParallel = 70, PipelineLayers = [1, 2], Devices = ["cpu"] };
        var refusal = Assert.Throws<EngineException>(() => ParallelPlanner.Create(options, localDevices: 8));
        Assert.Equal((EngineErrorKind.InvalidOptions, "pipeline_layers"), (refusal.Kind, refusal.Parameter));
        foreach (var part in (string[])["names 2 stages", "needs 350 devices, but this node has 8", "devices names 1 device", "are not divisible by 5", "the model has 64 layers", "add up to 3"])
            Assert.Contains(part, refusal.Message, StringComparison.Ordinal);
        Assert.Contains("\n  one node, 8 x device: localllm serve", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plan_of_an_engine_has_balanced_stages_or_those_that_were_given()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", PublishedConfigs.Qwen32B);
        var options = new EngineOptions { ModelPath = folder.Path, TensorParallel = 2, PipelineParallel = 2 };
        Assert.Equal([32, 32], ParallelPlanner.Create(options, localDevices: 4).LayersPerStage);
        Assert.Equal([60, 4], ParallelPlanner.Create(options with { PipelineLayers = [60, 4] }, localDevices: 4).LayersPerStage);
        Assert.Same(LocalLlm.Parallel.ParallelPlan.Single, ParallelPlanner.Create(new() { ModelPath = "/no/where" }, localDevices: 1));
    }

    [Theory]
    [InlineData("bfloat16", "dtype")]
    [InlineData("int8", "dtype")]
    public async Task A_type_that_a_card_does_not_compute_in_is_refused(string dtype, string option)
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", PublishedConfigs.Qwen7B);
        var refusal = await Assert.ThrowsAsync<EngineException>(async () => (await ModelPlanner.PlanAsync(
            new() { Options = new() { ModelPath = folder.Path, Dtype = dtype }, Cards = [KnownCards.Find("T4")] }, TestContext.Current.CancellationToken)).ThrowIfUnfit());
        Assert.Equal((EngineErrorKind.InvalidOptions, option), (refusal.Kind, refusal.Parameter));
        Assert.Contains("float16", refusal.Message, StringComparison.Ordinal);
    }

    private static (int Tensor, int Pipeline, int Nodes) Sizes(string text) =>
        text.Split(' ').Select(int.Parse).ToArray() is [var tensor, var pipeline, var nodes] ? (tensor, pipeline, nodes) : throw new ArgumentException(text, nameof(text));
}
