using LocalLlm.Execution;
using LocalLlm.Tests.Execution;
using LocalLlm.Tests.Ops;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>
/// Data-parallel groups on GPUs, beyond the references' tokens (<see cref="CudaDeepseekParallelTests"/>): groups without sequences,
/// preemption, ways of choosing tokens, and experts that change ranks. Two ranks run on one GPU and on two.
/// </summary>
public sealed class CudaDataParallelTests
{
    // Experts change ranks every third step, by the loads of the two steps before it.
    private static readonly ExpertBalancingOptions s_often = new() { WindowSize = 2, StepInterval = 3 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<int> Cards => CardRanks.Cards;

    // Model, layout, number of experts with a second copy, and number of GPUs.
    public static TheoryData<string, string, int, int> Balanced
    {
        get
        {
            var data = new TheoryData<string, string, int, int>();
            foreach (var model in CudaDeepseekEngineTests.Models.Select(row => row.Data))
            {
                foreach (var (layout, redundant, cards) in ((string, int, int)[])
                    [("tp2", 0, 1), ("dp2", 4, 1), ("tp2", 4, 2), ("dp2", 0, 2), ("dp2", 8, 2), ("tp2dp2", 8, 4), ("dp4", 4, 4)])
                {
                    data.Add(model, layout, redundant, cards);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cards))]
    public async Task A_sequence_alone_gets_its_tokens_while_the_other_group_has_none(int cards)
    {
        CardRanks.Require(cards);
        var options = Options("tiny-v3", "float32", cards) with { NumGpuBlocksOverride = 16, EnableExpertParallel = true };
        var requests = Greedy(TinyEngine.Requests(8, 40));
        var (wanted, balance) = await EachAloneAsync("tp1");
        var (got, balanceOfTwo) = await EachAloneAsync("dp2");
        AssertSame(wanted, got);
        Assert.Equal(balance, balanceOfTwo, 1e-2); // each token counts once, whichever rank computes it

        async Task<(string[] Ids, double Balance)> EachAloneAsync(string layout)
        {
            await using var engine = await LoadAsync(options, layout);
            var ids = new List<string>();
            foreach (var request in requests)
                ids.AddRange(Ids([await engine.CompleteAsync(request, Token)]));
            Assert.Equal((layout == "tp1" ? 16 : 32, engine.Statistics.KvBlocksTotal), (engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree));
            return ([.. ids], engine.Statistics.ExpertBalance!.Value);
        }
    }

    [Theory]
    [MemberData(nameof(Cards))]
    public async Task Preemption_and_cached_prefixes_change_no_token(int cards)
    {
        CardRanks.Require(cards);
        var options = Options("tiny-v3", "float32", cards) with { MaxNumSeqs = 6, MaxNumBatchedTokens = 48, MaxModelLen = 128 };
        var requests = Greedy(TinyEngine.Requests(16, 40));
        var wanted = Ids(await RunAloneAsync(options, requests));
        await using var tight = await LoadAsync(options with { NumGpuBlocksOverride = 11, SchedulerReserveFullIsl = false }, "dp2");
        foreach (var _ in (int[])[1, 2])
            AssertSame(wanted, Ids(await tight.GenerateBatchAsync(requests, cancellationToken: Token)));
        Assert.True(tight.Statistics.Preemptions > 0);
        Assert.True(tight.Statistics.PrefixCacheHits > 0);
        Assert.Equal((22, 22), (tight.Statistics.KvBlocksTotal, tight.Statistics.KvBlocksFree));
    }

    [Theory]
    [MemberData(nameof(Cards))]
    public async Task Every_way_of_choosing_tokens_gives_the_tokens_of_one_rank(int cards)
    {
        CardRanks.Require(cards);
        var options = Options("tiny-v3", "float32", cards) with { MaxNumSeqs = 8, MaxNumBatchedTokens = 64 };
        var wanted = await RunAloneAsync(options, ExecutorTests.Requests());
        await using var several = await LoadAsync(options, "dp2");
        var got = await several.GenerateBatchAsync(ExecutorTests.Requests(), cancellationToken: Token);
        Assert.All(got, result => Assert.Null(result.Error));
        AssertSame(Ids(wanted), Ids(got));
    }

    [Theory]
    [MemberData(nameof(Cards))]
    public async Task Aborted_sequences_leave_their_group_and_change_no_others(int cards)
    {
        CardRanks.Require(cards);
        var options = Options("tiny-v3", "float32", cards) with { MaxNumSeqs = 4, MaxNumBatchedTokens = 32 };
        var kept = Greedy(TinyEngine.Requests(12, 40));
        var wanted = Ids(await RunAloneAsync(options, kept));
        await using var several = await LoadAsync(options, "dp2");
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var dropped = TinyEngine.Requests(6, 400, seed: 2).Select(request => several.CompleteAsync(request, leaving.Token)).ToArray();
        var running = several.GenerateBatchAsync(kept, cancellationToken: Token);
        await leaving.CancelAsync();
        foreach (var task in dropped)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => task);
        AssertSame(wanted, Ids(await running));
        await several.CompleteAsync(kept[0], Token);
        Assert.Equal(several.Statistics.KvBlocksTotal, several.Statistics.KvBlocksFree);
        Assert.True(several.IsAlive);
    }

    [Theory]
    [MemberData(nameof(Balanced))]
    public async Task Greedy_float32_ids_are_those_of_the_reference_while_experts_move(string model, string layout, int redundant, int cards)
    {
        CardRanks.Require(cards);
        await using var engine = await LoadAsync(Moving(Options(model, "float32", cards), redundant), layout);
        await GoldenGenerationTests.AssertTrainedAsync(engine, model);
    }

    [Theory]
    [MemberData(nameof(Balanced))]
    public async Task Bfloat16_answers_are_as_likely_as_on_one_rank_while_experts_move(string model, string layout, int redundant, int cards)
    {
        CardRanks.Require(cards);
        var options = Options(model, "bfloat16", cards);
        var expected = await RunAloneAsync(options, CudaEngineTests.Requests(32, allLogprobs: true));
        await using var several = await LoadAsync(Moving(options, redundant), layout);
        var answers = await several.GenerateBatchAsync(CudaEngineTests.Requests(32), cancellationToken: Token);
        await ScoredAnswers.AssertAsLikelyAsync(several, expected, Token);
        CudaDeepseekEngineTests.AssertEqualButForTies(expected, answers, ScoredAnswers.FarthestRouterTie);
        // The ranks compute about as much as one another.
        Assert.InRange(several.Statistics.ExpertBalance!.Value, 0.4, 1);
    }

    [Theory]
    [MemberData(nameof(Cards))]
    public async Task Two_engines_one_after_the_other_leave_nothing_behind(int cards)
    {
        CardRanks.Require(cards);
        for (var round = 0; round < 2; round++)
        {
            await using var engine = await LoadAsync(Moving(Options("tiny-v3", "bfloat16", cards), 4), "dp2");
            await engine.CompleteAsync(TinyEngine.Requests(1, 20)[0], Token);
            Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
        }
    }

    private static EngineOptions Options(string model, string dtype, int cards) => new()
    {
        ModelPath = TestPaths.Shared("models", model), Dtype = CardTypes.NameOf(dtype), Device = cards == 1 ? "cuda:0" : "cuda", GpuMemoryUtilization = 0.3,
    };

    private static EngineOptions Moving(EngineOptions options, int redundant) =>
        options with { EnableExpertParallel = true, ExpertBalancing = s_often with { NumRedundantExperts = redundant } };

    private static Task<LlmEngine> LoadAsync(EngineOptions options, string layout) =>
        SuiteExecutor.LoadAsync(RankLayout.Find(layout)!.Of(options) with { ExecutorFactory = new DeviceExecutorFactory() }, cancellationToken: Token);

    private static GenerationRequest[] Greedy(GenerationRequest[] requests) => [.. requests.Where(request => request.Sampling.Temperature == 0)];

    // The engine is disposed before ranks share the GPU.
    private static async Task<IReadOnlyList<GenerationResult>> RunAloneAsync(EngineOptions options, GenerationRequest[] requests)
    {
        await using var engine = await LoadAsync(options, "tp1");
        return await engine.GenerateBatchAsync(requests, cancellationToken: Token);
    }

    private static string[] Ids(IEnumerable<GenerationResult> results) =>
        [.. results.Select(result => string.Join('|', result.Outputs.Select(output => string.Join(' ', output.TokenIds))))];

    // Two ranks add in another order than one, so one sequence may diverge at a near tie.
    private static void AssertSame(string[] wanted, string[] got)
    {
        Assert.Equal(wanted.Length, got.Length);
        Assert.True(wanted.Zip(got).Count(pair => pair.First != pair.Second) <= 1, $"wanted\n{string.Join('\n', wanted)}\ngot\n{string.Join('\n', got)}");
    }
}
