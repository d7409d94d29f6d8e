using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>Which request is served first, when it is admitted, and which prompts the prefix cache serves.</summary>
public class PriorityTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(SchedulingPolicy.Priority)]
    [InlineData(SchedulingPolicy.Fcfs)]
    public async Task The_lowest_number_is_served_first_where_the_policy_says_so(SchedulingPolicy policy)
    {
        // The first request's second step waits until all the others are queued.
        var faults = new FaultyExecutorFactory(step => step == 2 ? Fault.Hang : Fault.None);
        await using var engine = await TinyEngine.LoadAsync(options => options with { Device = "cpu", SchedulingPolicy = policy, MaxNumSeqs = 1, ExecutorFactory = faults });
        var first = RunAsync(engine, 0);
        await faults.Hangs;
        var byPriority = policy == SchedulingPolicy.Priority;
        Task<GenerationResult>[] waiting = [.. new[] { 5, -3, 2 }.Select(priority => RunAsync(engine, byPriority ? priority : 0))];
        faults.Release();
        await first;
        List<int> ended = [];
        while (ended.Count < waiting.Length)
        {
            await Task.WhenAny(waiting.Where((_, i) => !ended.Contains(i)));
            ended.AddRange(Enumerable.Range(0, waiting.Length).Where(i => waiting[i].IsCompleted && !ended.Contains(i)));
        }

        Assert.Equal(byPriority ? [1, 2, 0] : [0, 1, 2], ended);
    }

    [Fact]
    public async Task A_priority_is_refused_where_requests_are_served_as_they_come()
    {
        await using var engine = await TinyEngine.LoadAsync();
        var refusal = await Assert.ThrowsAsync<EngineException>(() => RunAsync(engine, 1));
        Assert.Equal((EngineErrorKind.InvalidRequest, "priority"), (refusal.Kind, refusal.Parameter));
        Assert.Contains("scheduling_policy priority", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_request_that_skips_the_prefix_cache_computes_its_prompt_and_leaves_it_there()
    {
        await using var engine = await TinyEngine.LoadAsync();
        int[] prompt = [.. Enumerable.Range(100, 64)];
        async Task<GenerationResult> Run(bool skips) =>
            await engine.CompleteAsync(GenerationRequest.FromTokenIds(prompt, new() { Temperature = 0, MaxTokens = 8, SkipReadingPrefixCache = skips }), Token);
        var first = await Run(skips: true);
        var hit = await Run(skips: false);
        var skipped = await Run(skips: true);
        Assert.Equal((0, 48, 0), (first.Usage.CachedTokens, hit.Usage.CachedTokens, skipped.Usage.CachedTokens));
        Assert.Equal(first.Outputs[0].TokenIds, skipped.Outputs[0].TokenIds);
    }

    [Theory]
    [InlineData((SchedulingPolicy)7, null, "scheduling_policy")]
    [InlineData(SchedulingPolicy.Fcfs, 0.0, "step_timeout")]
    [InlineData(SchedulingPolicy.Fcfs, -1.0, "step_timeout")]
    public async Task Unknown_policies_and_invalid_times_are_refused(SchedulingPolicy policy, double? seconds, string parameter)
    {
        var options = TinyEngine.Options with { SchedulingPolicy = policy, StepTimeout = seconds is { } given ? TimeSpan.FromSeconds(given) : null };
        var refusal = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(options, cancellationToken: Token));
        Assert.Equal((EngineErrorKind.InvalidOptions, parameter), (refusal.Kind, refusal.Parameter));
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(-0.1)]
    [InlineData(double.NaN)]
    public async Task A_watermark_that_is_not_a_fraction_is_refused(double watermark)
    {
        var refusal = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(TinyEngine.Options with { Watermark = watermark }, cancellationToken: Token));
        Assert.Equal((EngineErrorKind.InvalidOptions, "watermark"), (refusal.Kind, refusal.Parameter));
    }

    [Fact]
    public async Task Admission_may_leave_blocks_free_and_look_at_first_chunks_only()
    {
        await using var engine = await TinyEngine.LoadAsync(options => options with { Watermark = 0.5, SchedulerReserveFullIsl = false, NumGpuBlocksOverride = 64, MaxModelLen = 512, MaxNumBatchedTokens = 64, MaxNumSeqs = 32 });
        var expected = await TinyEngine.LoadAsync();
        await using var owned = expected;
        var requests = TinyEngine.Requests(16, 24);
        Assert.Equal(await TinyEngine.RunAsync(expected, requests), await TinyEngine.RunAsync(engine, requests));
    }

    private static Task<GenerationResult> RunAsync(LlmEngine engine, int priority) =>
        engine.CompleteAsync(GenerationRequest.FromTokenIds([5, 6, 7], new() { Temperature = 0, MaxTokens = 200, IgnoreEos = true }) with { Priority = priority }, Token);
}
