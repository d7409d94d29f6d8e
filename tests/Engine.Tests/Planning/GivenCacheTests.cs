using System.Globalization;
using LocalLlm.Planning;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Planning;

/// <summary>A KV cache of a requested size, planned as the engine allocates it.</summary>
public sealed class GivenCacheTests : IDisposable
{
    private const long GiB = 1L << 30;
    private readonly TemporaryFolder _folder = new();

    public GivenCacheTests() => _folder.Write("config.json", PublishedConfigs.Qwen7B);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task It_may_use_memory_beyond_the_share()
    {
        // 14.2 GiB of weights and half of the card's 44.55 GiB to use.
        var asked = new EngineOptions { ModelPath = _folder.Path, GpuMemoryUtilization = 0.5, KvCacheMemoryBytes = 20 * GiB };
        var plan = await PlanAsync(asked);
        Assert.Equal((PlanVerdict.Fits, 20 * GiB / 57_344 / 16 * 16), (plan.Verdict, plan.KvCacheTokens));
        Assert.InRange(plan.Ranks[0].FreeBytes, 29 * GiB, 30 * GiB);
    }

    [Fact]
    public async Task It_may_be_smaller_than_is_of_use() =>
        Assert.Equal((PlanVerdict.Fits, 160), await VerdictAsync(new() { ModelPath = _folder.Path, NumGpuBlocksOverride = 10 }));

    [Theory]
    [InlineData(64L << 30, null, null, "kv_cache_memory_bytes", "kv_cache_memory_bytes is 64.00 GiB, but a rank has 29.34 GiB left of 44.55 GiB beside 14.19 GiB of weights and 1.02 GiB of activations; allowed: at most 31508465459 bytes")]
    [InlineData(null, 100_000, null, "num_gpu_blocks_override", "num_gpu_blocks_override is 100,000 (85.45 GiB), but a rank has 29.34 GiB left of 44.55 GiB beside 14.19 GiB of weights and 1.02 GiB of activations; allowed: at most 34,341 blocks")]
    [InlineData(1L << 20, null, 4096, "kv_cache_memory_bytes", "kv_cache_memory_bytes is 0.00 GiB and holds 16 tokens of KV cache, but 4,096 are wanted; allowed: at least 234881024 bytes")]
    [InlineData(null, 10, 4096, "num_gpu_blocks_override", "num_gpu_blocks_override is 10 (0.01 GiB) and holds 160 tokens of KV cache, but 4,096 are wanted; allowed: at least 256 blocks")]
    public async Task One_that_does_not_fit_is_named_with_what_would(long? bytes, int? blocks, int? length, string option, string says)
    {
        var options = new EngineOptions { ModelPath = _folder.Path, KvCacheMemoryBytes = bytes, NumGpuBlocksOverride = blocks, MaxModelLen = length };
        var plan = await PlanAsync(options);
        Assert.Equal((PlanVerdict.DoesNotFit, option), (plan.Verdict, plan.Parameter));
        Assert.Equal(says, plan.Faults.Single());
        var allowed = long.Parse(string.Concat(says.Split("allowed: at ")[1].Where(char.IsAsciiDigit)), CultureInfo.InvariantCulture);
        Assert.Equal(PlanVerdict.Fits, (await PlanAsync(bytes is null ? options with { NumGpuBlocksOverride = (int)allowed } : options with { KvCacheMemoryBytes = allowed })).Verdict);
    }

    [Fact]
    public void The_fullest_stage_is_the_one_that_misses_memory_and_not_the_one_with_few_tokens()
    {
        // One stage lacks 500 bytes; another holds 16 tokens.
        var estimate = new CapacityEstimate(new(1, 3, 1), null!, [Stage(free: 100_000, tokens: 96), Stage(free: -500, tokens: 0), Stage(free: 20_000, tokens: 16)], 1);
        Assert.Equal(-500, estimate.Fullest.FreeBytes);
        // 10 bytes are less than a block, so this stage holds fewer than 16 tokens.
        Assert.Equal(10, (estimate with { Stages = [Stage(free: 20_000, tokens: 8), Stage(free: 10, tokens: 0)] }).Fullest.FreeBytes);
    }

    private static StageEstimate Stage(long free, long tokens) => new(0, 1, new("card", 1 << 20))
    {
        GivesCache = false, BudgetBytes = free, WeightBytes = 0, ActivationBytes = 0, GraphBytes = 0, KvBytesPerToken = 1000, KvTokens = tokens, ReadBytes = 0,
    };

    private async Task<(PlanVerdict Verdict, long Tokens)> VerdictAsync(EngineOptions options) => await PlanAsync(options) is var plan ? (plan.Verdict, plan.KvCacheTokens) : default;

    private static Task<ModelPlan> PlanAsync(EngineOptions options) =>
        ModelPlanner.PlanAsync(new() { Options = options, Cards = [KnownCards.Find("L40S")] }, TestContext.Current.CancellationToken);
}
