using LocalLlm.Planning;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Planning;

public class BadPlanTests
{
    private const string H = PublishedConfigs.Qwen32B;
    private const string L = PublishedConfigs.Llama70B;
    private const string S = PublishedConfigs.Qwen7B;
    private const string V = PublishedConfigs.V3;

    /// <summary>Model, tensor x pipeline x nodes, devices of a node (0: not known), layers of stages, card; the option to blame, the message, and the first plan offered
    /// instead (null: whatever fits).</summary>
    public static TheoryData<string, string, int, string?, string, string, string, string?> Bad() => new()
    {
        { S, "0 1 1", 0, null, "H100", "tensor_parallel_size", "is 0; allowed: 1 to 1024", "1 1 1" },
        { S, "-3 1 1", 0, null, "H100", "tensor_parallel_size", "is -3; allowed: 1 to 1024", "1 1 1" },
        { S, "4096 1 1", 0, null, "H100", "tensor_parallel_size", "is 4096; allowed: 1 to 1024", null },
        { S, "1 0 1", 0, null, "H100", "pipeline_parallel_size", "is 0; allowed: 1 to 1024", "1 1 1" },
        { S, "1 -1 1", 0, null, "H100", "pipeline_parallel_size", "is -1; allowed: 1 to 1024", "1 1 1" },
        { S, "1 2000 1", 0, null, "H100", "pipeline_parallel_size", "is 2000; allowed: 1 to 1024", null },
        { S, "1 1 0", 0, null, "H100", "nnodes", "is 0; allowed: 1 to 1024", "1 1 1" },
        { S, "1 1 -2", 0, null, "H100", "nnodes", "is -2; allowed: 1 to 1024", "1 1 1" },
        { S, "3 1 1", 0, null, "H100", "tensor_parallel_size", "28 attention heads do not divide by 3", "1 3 1" },
        { S, "8 1 1", 8, null, "H100", "tensor_parallel_size", "28 attention heads do not divide by 8", "4 2 1" },
        { S, "7 1 1", 0, null, "H100", "tensor_parallel_size", "7 ranks cannot share the model's 4 key and value heads evenly", "1 7 1" },
        { S, "14 1 1", 0, null, "H100", "tensor_parallel_size", "14 ranks cannot share", "2 7 1" },
        { H, "5 1 1", 5, null, "T4", "tensor_parallel_size", "8 key and value heads do not divide by 5", "1 5 1" },
        { H, "3 1 1", 0, null, "H100", "tensor_parallel_size", "40 attention heads do not divide by 3", "1 3 1" },
        { H, "16 1 1", 16, null, "H100", "tensor_parallel_size", "40 attention heads do not divide by 16", "8 2 1" },
        { H, "40 1 1", 40, null, "H100", "tensor_parallel_size", "intermediate_size (27648) does not divide by 40", "8 5 1" },
        { H, "10 1 1", 0, null, "H100", "tensor_parallel_size", "allowed for this model: 1, 2, 4, 8", "2 5 1" },
        { L, "6 1 1", 6, null, "H100", "tensor_parallel_size", "64 attention heads do not divide by 6", "2 3 1" },
        { L, "12 1 1", 0, null, "H100", "tensor_parallel_size", "12 ranks cannot share the model's 8 key and value heads", "4 3 1" },
        { L, "16 1 2", 8, null, "A100-80G", "tensor_parallel_size", "every layer would be split over several nodes", "8 2 2" },
        { L, "16 1 1", 8, null, "A100-80G", "tensor_parallel_size", "needs 16 devices; this node has 8, and nnodes is 1", "8 1 1" },
        { L, "8 1 4", 8, null, "A100-80G", "tensor_parallel_size", "each of the 4 nodes runs 2 of the 8 ranks", null },
        { L, "8 2 4", 8, null, "A100-80G", "tensor_parallel_size", "each of the 4 nodes runs 4 of the 16 ranks", null },
        { L, "8 2 1", 8, null, "A100-80G", "pipeline_parallel_size", "needs 16 devices; this node has 8", null },
        { L, "4 1 3", 8, null, "A100-80G", "nnodes", "is 3, but the 4 ranks", null },
        { L, "2 3 4", 8, null, "A100-80G", "nnodes", "do not divide by it; every node runs as many ranks as the others", null },
        { L, "8 4 2", 8, null, "A100-80G", "pipeline_parallel_size", "needs 16 devices on each node; a node has 8, and nnodes is 2", "8 2 2" },
        { L, "1 1 2", 8, null, "A100-80G", "nnodes", "is 2, but the 1 ranks", null },
        { L, "1 81 1", 0, null, "H100", "pipeline_parallel_size", "is 81, but the model has 80 layers, and every stage needs one; allowed: 1 to 80", null },
        { S, "1 29 1", 0, null, "H100", "pipeline_parallel_size", "the model has 28 layers", null },
        { S, "2 64 1", 0, null, "H100", "pipeline_parallel_size", "the model has 28 layers", null },
        { S, "1 2 1", 0, "14,13", "H100", "pipeline_layers", "(14,13) add up to 27, but the model has 28 layers", null },
        { S, "1 2 1", 0, "14,14,0", "H100", "pipeline_layers", "names 3 stages, but pipeline_parallel_size is 2", null },
        { S, "1 3 1", 0, "28,0,0", "H100", "pipeline_layers", "gives a stage 0 layers; at least 1", null },
        { S, "1 3 1", 0, "-1,20,9", "H100", "pipeline_layers", "gives a stage -1 layers", null },
        { S, "1 1 1", 0, "14,14", "H100", "pipeline_layers", "names 2 stages, but pipeline_parallel_size is 1", null },
        { S, "1 2 1", 0, "2147483647,2147483647", "H100", "pipeline_layers", "add up to 4294967294", null },
        { V, "32 1 1", 32, null, "H100", "tensor_parallel_size", "moe_intermediate_size (2048) over 32 ranks is 64 each, which is no multiple of the weights' blocks of 128", null },
        { V, "3 1 1", 0, null, "H100", "tensor_parallel_size", "128 attention heads do not divide by 3", null },
        { V, "16 1 2", 8, null, "H100", "tensor_parallel_size", "split layers inside of a node (at most 8)", "8 2 2" },
        { V, "8 62 62", 8, null, "H100", "pipeline_parallel_size", "the model has 61 layers", null },
        // Possible, but too few cards for the bytes.
        { H, "4 1 1", 0, null, "T4", "tensor_parallel_size", "4 x T4 have too little memory", "1 5 1" },
        { H, "1 4 1", 0, null, "T4", "pipeline_parallel_size", "4 x T4 have too little memory", "1 5 1" },
        { H, "1 1 1", 0, null, "L40S", "tensor_parallel_size", "1 x L40S has too little memory", "2 1 1" },
        { L, "1 1 1", 0, null, "A100-80G", "tensor_parallel_size", "1 x A100-80G has too little memory", "2 1 1" },
        { L, "2 1 1", 0, null, "A100-40G", "tensor_parallel_size", "2 x A100-40G have too little memory", "4 1 1" },
        { L, "8 1 1", 0, null, "T4", "tensor_parallel_size", "8 x T4 have too little memory", "8 2 2" },
        { V, "8 1 1", 8, null, "H100", "tensor_parallel_size", "8 x H100-80G have too little memory", "8 2 2" },
        { V, "8 2 2", 8, null, "A100-40G", "tensor_parallel_size", "16 x A100-40G have too little memory", "8 3 3" },
    };

    [Theory]
    [MemberData(nameof(Bad))]
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
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
        Assert.NotEmpty(plan.Alternatives);
        if (offered is not null)
            Assert.Equal(Sizes(offered), (plan.Alternatives[0].TensorParallel, plan.Alternatives[0].PipelineParallel, plan.Alternatives[0].Nodes));
        foreach (var choice in plan.Alternatives)
        {
            // What is offered fits: asked for, it is no refusal.
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

    [Fact]
    public void Every_fault_is_in_one_error_and_the_options_of_an_engine_are_checked_before_its_weights()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", H);
        var options = new EngineOptions { ModelPath = folder.Path, TensorParallel = 5, PipelineParallel = 70, PipelineLayers = [1, 2], Devices = ["cpu"] };
        var refusal = Assert.Throws<EngineException>(() => ParallelPlanner.Create(options, localDevices: 8));
        Assert.Equal((EngineErrorKind.InvalidOptions, "pipeline_layers"), (refusal.Kind, refusal.Parameter));
        foreach (var part in (string[])["names 2 stages", "needs 350 devices; this node has 8", "devices names 1 device", "do not divide by 5", "the model has 64 layers", "add up to 3"])
            Assert.Contains(part, refusal.Message, StringComparison.Ordinal);
        Assert.Contains("\n  one node, 8 x device: localllm serve", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plan_of_an_engine_has_balanced_stages_or_those_that_were_given()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", H);
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
        folder.Write("config.json", S);
        var refusal = await Assert.ThrowsAsync<EngineException>(async () => (await ModelPlanner.PlanAsync(
            new() { Options = new() { ModelPath = folder.Path, Dtype = dtype }, Cards = [KnownCards.Find("T4")] }, TestContext.Current.CancellationToken)).ThrowIfUnfit());
        Assert.Equal((EngineErrorKind.InvalidOptions, option), (refusal.Kind, refusal.Parameter));
        Assert.Contains("float16", refusal.Message, StringComparison.Ordinal);
    }

    private static (int Tensor, int Pipeline, int Nodes) Sizes(string text) =>
        text.Split(' ').Select(int.Parse).ToArray() is [var tensor, var pipeline, var nodes] ? (tensor, pipeline, nodes) : throw new ArgumentException(text, nameof(text));
}
