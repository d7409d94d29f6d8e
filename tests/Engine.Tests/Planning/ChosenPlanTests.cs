using LocalLlm.Planning;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Planning;

/// <summary>Plans that are chosen for the hardware, and what the planner says about them.</summary>
public sealed class ChosenPlanTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1, 2, 1, 1)]
    [InlineData(2, 2, 1, 1)] // one node is enough
    public async Task Of_nodes_whose_cards_are_not_counted_as_many_are_taken_as_fit(int nodes, int tensor, int pipeline, int used)
    {
        var plan = await PlanAsync(PublishedConfigs.Llama70B, nodes, null, "A100-80G");
        Assert.Equal((PlanVerdict.Fits, tensor, pipeline, used), (plan.Verdict, plan.TensorParallel, plan.PipelineParallel, plan.Nodes));
    }

    [Fact]
    public async Task Nodes_whose_cards_are_not_counted_have_up_to_eight_each_and_as_few_as_fit()
    {
        var plan = await PlanAsync(PublishedConfigs.V3, 2, null, "A100-80G");
        Assert.Equal((PlanVerdict.Fits, 10, 2, 5), (plan.Verdict, plan.TensorParallel * plan.PipelineParallel, plan.Nodes, plan.DevicesPerNode));
    }

    [Fact]
    public async Task Stages_of_unlike_cards_are_chosen_and_their_layers_printed()
    {
        var plan = await PlanAsync(PublishedConfigs.Qwen14B, 1, 2, "L4", "L40S");
        Assert.Equal((PlanVerdict.Fits, 1, 2), (plan.Verdict, plan.TensorParallel, plan.PipelineParallel));
        Assert.Contains($" --pipeline-layers {plan.Ranks[0].NumLayers},{plan.Ranks[1].NumLayers}", plan.CommandLine, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Too_few_cards_for_a_stage_of_each_kind_are_refused()
    {
        var plan = await PlanAsync(PublishedConfigs.Qwen14B, 1, 1, "L4", "L40S");
        Assert.Equal(PlanVerdict.Invalid, plan.Verdict);
        Assert.Equal("tensor_parallel_size 1 x pipeline_parallel_size 2 needs 2 devices, but this node has 1, and nnodes is 1", plan.Faults.Single());
    }

    [Theory]
    [InlineData("H200", 2, "162 all-reduces x 2.2 us (measured)")]
    [InlineData("H200", 4, "162 all-reduces x 2.2 us (assumed: measured between two H200)")]
    [InlineData("H100", 2, "162 all-reduces x 2.2 us (assumed: measured between two H200)")]
    public async Task A_predicted_time_says_whether_its_latency_was_measured(string card, int tensor, string says)
    {
        _folder.Write("config.json", PublishedConfigs.Llama70B);
        var plan = await ModelPlanner.PlanAsync(
            new() { Options = new() { ModelPath = _folder.Path, TensorParallel = tensor }, Cards = [KnownCards.Find(card)] }, TestContext.Current.CancellationToken);
        Assert.Contains(says, plan.Prediction!.Arithmetic, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(8 << 10, 2.2)]
    [InlineData(16 << 10, 2.2)]
    [InlineData(40 << 10, 2.4)]
    [InlineData(256 << 10, 4.1)]
    [InlineData(512 << 10, 5.7)]
    public void Sums_between_measured_sizes_take_a_time_between(long bytes, double microseconds) =>
        Assert.Equal(microseconds, AllReduceTimes.Seconds(bytes) * 1e6, 1e-6);

    [Fact]
    public async Task An_unknown_card_has_no_times_and_a_note()
    {
        _folder.Write("config.json", PublishedConfigs.Qwen7B);
        var plan = await ModelPlanner.PlanAsync(
            new() { Options = new() { ModelPath = _folder.Path }, Cards = [new("NVIDIA Future 1", 100L << 30)] }, TestContext.Current.CancellationToken);
        Assert.Null(plan.Prediction);
        Assert.Contains("NVIDIA Future 1 is not a known card: no times are predicted", plan.Notes);
    }

    private Task<ModelPlan> PlanAsync(string config, int nodes, int? perNode, params string[] cards)
    {
        _folder.Write("config.json", config);
        return ModelPlanner.PlanAsync(
            new() { Options = new() { ModelPath = _folder.Path, Nodes = nodes }, Cards = [.. cards.Select(KnownCards.Find)], DevicesPerNode = perNode, ChoosesPlan = true },
            TestContext.Current.CancellationToken);
    }
}
