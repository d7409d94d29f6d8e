using LocalLlm.Planning;
using LocalLlm.Tests.Models;
using LocalLlm.Tests.Models.Deepseek;
using Xunit;

namespace LocalLlm.Tests.Planning;

/// <summary>
/// A plan from config.json equals the plan that the engine computes once it has built the layers. tiny-r1's head is tied to its embedding.
/// </summary>
public class PlannedAsLoadedTests
{
    [Theory]
    [InlineData("float32", 1, 1)]
    [InlineData("float32", 2, 1, "fp8")]
    [InlineData("float32", 2, 1)]
    [InlineData("float32", 1, 2)]
    [InlineData("float32", 4, 2)]
    [InlineData("bfloat16", 1, 1)] // without bfloat16 instructions, all matrices have a second copy for single rows
    [InlineData("bfloat16", 2, 2)]
    [InlineData("bfloat16", 4, 2, "fp8_e4m3")]
    [InlineData("float16", 2, 1)] // computed in float32
    public async Task A_rank_of_a_CPU_holds_what_was_planned(string dtype, int tensor, int pipeline, string cache = "auto")
    {
        var options = new EngineOptions { ModelPath = TestPaths.TinyR1, Device = "cpu", Dtype = dtype, TensorParallel = tensor, PipelineParallel = pipeline, KvCacheDtype = cache, KvCacheMemoryBytes = 1 << 20 };
        var loaded = LlmEngine.PlanMemory(options);
        var planned = (await ModelPlanner.PlanAsync(new() { Options = options }, TestContext.Current.CancellationToken)).Ranks[0];
        Assert.Equal((loaded.WeightBytes, loaded.BytesPerBlock), (planned.WeightBytes, 16 * planned.KvBytesPerToken));
        Assert.Equal(loaded.ActivationBytes, planned.ActivationBytes);
    }

    [Theory]
    [InlineData("float32", 1, 1)]
    [InlineData("float32", 2, 1)]
    [InlineData("float32", 2, 1, true)]
    [InlineData("float32", 1, 2)]
    [InlineData("float32", 1, 1, false, true)]
    [InlineData("float32", 2, 1, true, true)]
    [InlineData("bfloat16", 1, 1)] // without bfloat16 instructions there are second copies, but not of routers and what attention absorbs
    [InlineData("bfloat16", 2, 1, true)]
    [InlineData("bfloat16", 1, 1, false, true)]
    [InlineData("float32", 1, 1, false, false, true)]
    [InlineData("bfloat16", 1, 1, false, false, true)]
    [InlineData("bfloat16", 2, 1, true, false, true)]
    [InlineData("float32", 1, 1, false, false, false, 2)]
    [InlineData("float32", 2, 1, true, false, false, 2)]
    [InlineData("bfloat16", 1, 1, true, false, false, 4)]
    [InlineData("bfloat16", 1, 2, true, false, true, 2)]
    [InlineData("float32", 1, 1, true, false, false, 2, 4)]
    [InlineData("bfloat16", 2, 1, true, false, true, 1, 2)]
    public async Task A_rank_of_DeepSeek_holds_what_was_planned(
        string dtype, int tensor, int pipeline, bool spreadsExperts = false, bool predicts = false, bool isFloat8 = false, int groups = 1, int? copies = null)
    {
        using var folder = new DeepseekFolder(
            config => config["num_nextn_predict_layers"] = predicts ? 1 : 0, weights =>
            {
                if (predicts)
                    DeepseekFolder.AddPrediction(weights, 1, 1);
            });
        using var quantised = isFloat8 ? new Fp8Folder(folder.Path, 16, 16) : null;
        var options = new EngineOptions
        {
            ModelPath = quantised?.Path ?? folder.Path, Device = "cpu", Dtype = dtype, TensorParallel = tensor, PipelineParallel = pipeline, EnableExpertParallel = spreadsExperts, DataParallel = groups,
            ExpertBalancing = copies is { } redundant ? new() { NumRedundantExperts = redundant } : null,
            SkipTokenizerInit = true, KvCacheMemoryBytes = 1 << 20, Speculation = predicts ? new() { Method = "mtp", NumSpeculativeTokens = 1 } : null,
        };
        var loaded = LlmEngine.PlanMemory(options);
        var plan = await ModelPlanner.PlanAsync(new() { Options = options }, TestContext.Current.CancellationToken);
        var planned = plan.Ranks[0];
        Assert.Equal((loaded.WeightBytes, loaded.BytesPerBlock), (planned.WeightBytes, 16 * planned.KvBytesPerToken));
        Assert.Equal(loaded.ActivationBytes, planned.ActivationBytes);
        if (pipeline == 1)
            Assert.Equal(planned.KvBytesPerToken, plan.KvBytesPerToken);
    }

    /// <summary>While experts move, a rank has copies of the experts of one layer.</summary>
    [Theory]
    [InlineData(2, 1, 0, 3)]
    [InlineData(1, 2, 4, 5)]
    public void Experts_that_move_have_memory_of_their_own(int tensor, int groups, int copies, int places)
    {
        using var folder = new DeepseekFolder();
        var options = new EngineOptions
        {
            ModelPath = folder.Path, Device = "cpu", Dtype = "float32", TensorParallel = tensor, DataParallel = groups, EnableExpertParallel = true, SkipTokenizerInit = true, KvCacheMemoryBytes = 1 << 20,
        };
        var moving = LlmEngine.PlanMemory(options with { ExpertBalancing = new() { NumRedundantExperts = copies } });
        Assert.Equal(places * 3L * DeepseekFolder.Hidden * DeepseekFolder.ExpertWidth * sizeof(float), moving.ActivationBytes - LlmEngine.PlanMemory(options).ActivationBytes);
    }

    /// <summary>A rank's experts compute the rows of all groups.</summary>
    [Fact]
    public void What_kernels_keep_beside_activations_counts_the_rows_of_all_groups()
    {
        using var folder = new DeepseekFolder();
        var options = new EngineOptions
        {
            ModelPath = folder.Path, Device = "cpu", Dtype = "bfloat16", MaxNumBatchedTokens = 64, MaxNumSeqs = 8, SkipTokenizerInit = true, KvCacheMemoryBytes = 1 << 20, EnableExpertParallel = true,
        };
        var config = (LocalLlm.Models.Deepseek.DeepseekConfig)LocalLlm.Models.ModelConfig.Load(folder.Path);
        var perToken = config.Experts!.Routing.PerToken;
        var added = LlmEngine.PlanMemory(options with { DataParallel = 2 }).ActivationBytes - LlmEngine.PlanMemory(options).ActivationBytes;
        Assert.Equal(64 * ((config.ExpertElements * 2) + (perToken * ((2L * DeepseekFolder.Hidden) + DeepseekFolder.ExpertWidth) * 2)), added);
    }

    // Joined matrices stay unquantised together; experts one by one.
    [Theory]
    [InlineData(1, false, "self_attn")]
    [InlineData(2, false, "o_proj", "model.layers.2.mlp")]
    [InlineData(1, false, "kv_b_proj", "model.layers.0.mlp.down_proj")]
    [InlineData(1, true, "model.layers.1.mlp.shared_experts", "model.layers.3.self_attn.o_proj", "eh_proj")]
    [InlineData(1, false, "model.layers.1.mlp.experts.3", "model.layers.2.mlp.experts.0", "model.layers.2.mlp.experts.5.down_proj")]
    public async Task Modules_that_stay_unquantised_are_planned_so(int tensor, bool predicts, params string[] kept)
    {
        using var folder = new DeepseekFolder(
            config => config["num_nextn_predict_layers"] = predicts ? 1 : 0, weights =>
            {
                if (predicts)
                    DeepseekFolder.AddPrediction(weights, 1, 1);
            });
        using var quantised = new Fp8Folder(folder.Path, 16, 16, kept: kept);
        var options = new EngineOptions
        {
            ModelPath = quantised.Path, Device = "cpu", Dtype = "bfloat16", TensorParallel = tensor, SkipTokenizerInit = true, KvCacheMemoryBytes = 1 << 20,
            Speculation = predicts ? new() { Method = "mtp", NumSpeculativeTokens = 1 } : null,
        };
        var loaded = LlmEngine.PlanMemory(options);
        var plan = await ModelPlanner.PlanAsync(new() { Options = options }, TestContext.Current.CancellationToken);
        Assert.Equal(loaded.WeightBytes, plan.Ranks[0].WeightBytes);
        using var whole = new Fp8Folder(folder.Path, 16, 16, kept: ["eh_proj"]);
        Assert.True(LlmEngine.PlanMemory(options with { ModelPath = whole.Path }).WeightBytes < loaded.WeightBytes);
        Assert.DoesNotContain(plan.Notes, note => note.Contains("unquantised", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Prediction_behind_a_stage_boundary_has_an_embedding_of_its_own()
    {
        using var folder = new DeepseekFolder(config => config["num_nextn_predict_layers"] = 1);
        var options = new EngineOptions
        {
            ModelPath = folder.Path, Device = "cpu", Dtype = "float32", SkipTokenizerInit = true, KvCacheMemoryBytes = 1 << 20, PipelineParallel = 2, PipelineLayers = [2, 1],
        };
        Assert.Equal(112 * DeepseekFolder.Hidden * sizeof(float), await AddedAsync(options) - await AddedAsync(options with { PipelineParallel = 1, PipelineLayers = null }));

        async Task<long> AddedAsync(EngineOptions options) => await LastAsync(options with { Speculation = new() { Method = "mtp", NumSpeculativeTokens = 1 } }) - await LastAsync(options);

        async Task<long> LastAsync(EngineOptions options) =>
            (await ModelPlanner.PlanAsync(new() { Options = options }, TestContext.Current.CancellationToken)).Ranks[^1].WeightBytes;
    }

    [Theory]
    [InlineData(3)]
    [InlineData(32)] // more drafts than sequences
    public async Task Drafts_have_rows_of_logits(int drafts)
    {
        var options = new EngineOptions { ModelPath = TestPaths.TinyR1, Device = "cpu", Dtype = "float32", KvCacheMemoryBytes = 1 << 20, MaxNumSeqs = 8 };
        var drafting = options with { Speculation = new() { Method = "ngram", NumSpeculativeTokens = drafts } };
        var loaded = LlmEngine.PlanMemory(drafting).ActivationBytes;
        Assert.True(loaded > LlmEngine.PlanMemory(options).ActivationBytes);
        Assert.Equal(loaded, (await ModelPlanner.PlanAsync(new() { Options = drafting }, TestContext.Current.CancellationToken)).Ranks[0].ActivationBytes);
    }

    [Fact]
    public async Task A_cache_of_8_bit_floats_on_a_GPU_has_a_byte_for_each_element_and_each_scale()
    {
        var options = new EngineOptions { ModelPath = TestPaths.TinyR1, Dtype = "bfloat16", KvCacheDtype = "fp8", MaxModelLen = 512 };
        var plan = await ModelPlanner.PlanAsync(new() { Options = options, Cards = [KnownCards.Find("L4")] }, TestContext.Current.CancellationToken);
        // 8 layers, 2 heads of 64 elements and a scale, keys and values.
        Assert.Equal(8 * 2 * 2 * 65, plan.KvBytesPerToken);
        Assert.DoesNotContain(plan.Notes, note => note.Contains("not run", StringComparison.Ordinal));
        Assert.Contains("--kv-cache-dtype fp8", plan.CommandLine, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Batch_invariance_on_a_GPU_is_planned_and_said_not_to_run()
    {
        var options = new EngineOptions { ModelPath = TestPaths.TinyR1, BatchInvariant = true, MaxModelLen = 512 };
        var plan = await ModelPlanner.PlanAsync(new() { Options = options, Cards = [KnownCards.Find("L4")] }, TestContext.Current.CancellationToken);
        Assert.Contains("this build is batch-invariant on CPUs only: it is planned, not run", plan.Notes);
        Assert.Contains("--batch-invariant", plan.CommandLine, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(2, false)]
    public void Only_the_last_stage_has_logits(int pipeline, bool hasLogits)
    {
        var few = new EngineOptions { ModelPath = TestPaths.TinyR1, Device = "cpu", Dtype = "float32", PipelineParallel = pipeline, MaxNumSeqs = 1, KvCacheMemoryBytes = 1 << 20 };
        // PlanMemory plans the first rank.
        var (one, many) = (LlmEngine.PlanMemory(few).ActivationBytes, LlmEngine.PlanMemory(few with { MaxNumSeqs = 1024 }).ActivationBytes);
        Assert.Equal(hasLogits, many > one);
    }
}
