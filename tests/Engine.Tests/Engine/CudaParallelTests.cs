using System.Diagnostics;
using LocalLlm.Execution;
using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Tests.Execution;
using LocalLlm.Tests.Ops;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>The whole engine over ranks on one GPU and on two, compared with one rank.</summary>
public sealed class CudaParallelTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // Layout, and number of GPUs.
    public static TheoryData<string, int> Layouts => new() { { "tp2", 1 }, { "tp2", 2 }, { "pp2", 1 }, { "pp2", 2 } };

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Greedy_bfloat16_ids_part_from_those_of_one_rank_only_at_near_ties(string layout, int cards)
    {
        CardRanks.Require(cards);
        var expected = await RunAsync(Options("bfloat16", 1), "tp1", CudaEngineTests.Requests(32, allLogprobs: true));
        CudaEngineTests.AssertEqualButForNearTies(expected, await RunAsync(Options("bfloat16", cards), layout, CudaEngineTests.Requests(32)));
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Recorded_steps_give_what_eager_ones_give(string layout, int cards)
    {
        CardRanks.Require(cards);
        // Requests run one after another, so that both engines run the same kernels on the same rows.
        var runs = new List<string[]>();
        foreach (var isEager in (bool[])[false, true])
        {
            await using var engine = await LoadAsync(Options("bfloat16", cards) with { EnforceEager = isEager }, layout);
            var ids = new List<string>();
            foreach (var request in CudaEngineTests.Requests(6))
                ids.Add(CudaEngineTests.Ids(await engine.CompleteAsync(request, Token)));
            runs.Add([.. ids]);
        }

        Assert.Equal(runs[1], runs[0]);
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Seeded_requests_draw_what_they_draw_on_one_rank(string layout, int cards)
    {
        CardRanks.Require(cards);
        SamplingParams[] kinds =
        [
            new() { Temperature = 0.8 }, new() { TopP = 0.7 }, new() { TopK = 5 }, new() { MinP = 0.1, Temperature = 1.3 },
            new() { FrequencyPenalty = 0.5 }, new() { RepetitionPenalty = 1.2, TopP = 0.9 }, new() { MinTokens = 20, TopK = 50 }, new() { Logprobs = 3 },
        ];
        GenerationRequest[] requests = [.. Enumerable.Range(0, 48).Select(i =>
            GenerationRequest.FromChat([new("user", $"Tell me about the number {i}.")], kinds[i % kinds.Length] with { Seed = i, MaxTokens = 30 }))];
        var expected = await RunAsync(Options("float32", 1), "tp1", requests);
        var actual = await RunAsync(Options("float32", cards), layout, requests);
        Assert.True(expected.Select(CudaEngineTests.Ids).Zip(actual.Select(CudaEngineTests.Ids)).Count(pair => pair.First == pair.Second) >= 44);
    }

    // As on one GPU: every step of a lone sequence is submitted before the host knows its input, except the first, whose input is the
    // prompt.
    [Theory]
    [InlineData("pp2", 1)]
    [InlineData("pp2", 2)]
    [InlineData("tp2pp2", 4)]
    [InlineData("pp4", 4)]
    public async Task Stages_take_steps_whose_tokens_the_host_does_not_know(string layout, int cards)
    {
        CardRanks.Require(cards);
        var options = RankLayout.Find(layout)!.Of(Options("bfloat16", cards));
        var noted = new List<CountingExecutor>();
        var request = GenerationRequest.FromTokenIds([5, 6], new() { Temperature = 0, MaxTokens = 40, IgnoreEos = true });
        IReadOnlyList<int>? alone = null;
        foreach (var isEager in (bool[])[false, true])
        {
            await using var engine = await LlmEngine.LoadAsync(
                options with { EnforceEager = isEager, ExecutorFactory = new DecoratingFactory(inner => Noted(new CountingExecutor(inner))) }, cancellationToken: Token);
            var ids = (await engine.CompleteAsync(request, Token)).Outputs[0].TokenIds;
            Assert.Equal(39, noted[^1].NumUnknown);
            Assert.Equal(alone ?? ids, ids);
            alone = ids;
            // Many requests at once, some of which end early, in two rounds.
            for (var round = 0; round < 2; round++)
            {
                var results = await engine.GenerateBatchAsync([.. Enumerable.Range(1, 24).Select(i => request with { Sampling = request.Sampling with { MaxTokens = 4 * i } })], cancellationToken: Token);
                Assert.All(results, result => Assert.Null(result.Error));
            }

            Assert.True(noted[^1].NumUnknown > 1500, $"{noted[^1].NumUnknown} tokens were inputs before the host knew them");
            Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
        }

        CountingExecutor Noted(CountingExecutor executor)
        {
            noted.Add(executor);
            return executor;
        }
    }

    // In one step, some rows need only the best token of each rank, some are whole on the GPU, and some are whole on the host.
    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Greedy_and_drawn_rows_of_one_step_get_the_tokens_of_one_rank(string layout, int cards)
    {
        CardRanks.Require(cards);
        SamplingParams[] kinds =
        [
            new() { Temperature = 0 }, new() { Temperature = 0 }, new() { Temperature = 0.8 }, new() { Temperature = 0, FrequencyPenalty = 0.5 },
            new() { Temperature = 0 }, new() { Temperature = 0, MinTokens = 12 }, new() { Temperature = 0.9, TopP = 0.8 },
        ];
        foreach (var logprobs in (int?[])[null, 1])
        {
            GenerationRequest[] requests = [.. Enumerable.Range(0, 42).Select(i => GenerationRequest.FromChat([new("user", $"Tell me about the number {i}.")],
                kinds[i % kinds.Length] with { Seed = i, MaxTokens = 10 + i, Logprobs = i % 6 == 5 ? logprobs : null }))];
            var expected = await RunAsync(Options("float32", 1), "tp1", requests);
            var actual = await RunAsync(Options("float32", cards), layout, requests);
            Assert.True(expected.Select(CudaEngineTests.Ids).Zip(actual.Select(CudaEngineTests.Ids)).Count(pair => pair.First == pair.Second) >= 38);
        }
    }

    [Theory]
    [InlineData("tp2", 1)]
    [InlineData("tp2", 2)]
    public async Task Two_engines_one_after_the_other_leave_nothing_behind(string layout, int cards)
    {
        CardRanks.Require(cards);
        var clock = Stopwatch.StartNew();
        for (var round = 0; round < 2; round++)
        {
            await using var engine = await LoadAsync(Options("bfloat16", cards), layout);
            await engine.CompleteAsync(CudaEngineTests.Requests(1)[0], Token);
            Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
        }

        Assert.True(clock.Elapsed < TimeSpan.FromMinutes(2));
    }

    [Fact]
    public void Four_ranks_on_one_card_are_refused_by_name()
    {
        var refusal = Assert.Throws<EngineException>(() => GpuRanks.TryCreate(new(2, 2, 1), 0, [.. Enumerable.Repeat("cuda:0", 4)]));
        Assert.Equal(EngineErrorKind.InvalidOptions, refusal.Kind);
        Assert.Contains("4 ranks would run on cuda:0", refusal.Message, StringComparison.Ordinal);
    }

    private static EngineOptions Options(string dtype, int cards) =>
        new() { ModelPath = TestPaths.TinyR1, Dtype = CardTypes.NameOf(dtype), Device = cards == 1 ? "cuda:0" : "cuda", GpuMemoryUtilization = 0.5 };

    private static Task<LlmEngine> LoadAsync(EngineOptions options, string layout) =>
        SuiteExecutor.LoadAsync(RankLayout.Find(layout)!.Of(options) with { ExecutorFactory = new DeviceExecutorFactory() }, cancellationToken: Token);

    private static async Task<IReadOnlyList<GenerationResult>> RunAsync(EngineOptions options, string layout, GenerationRequest[] requests)
    {
        await using var engine = await LoadAsync(options, layout);
        return await engine.GenerateBatchAsync(requests, cancellationToken: Token);
    }
}
