using System.Collections.Concurrent;
using LocalLlm.Execution;
using LocalLlm.Ops;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Ops;
using LocalLlm.Tests.Parallel;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>Which logits two ranks gather for a step: for a greedy row one pair from each rank, for any other row the whole row.</summary>
public class GatheredLogitsTests
{
    private const int PairColumns = 2;

    private static readonly SamplingParams Greedy = new() { Temperature = 0, MaxTokens = 12, IgnoreEos = true };
    private static readonly SamplingParams Sampled = new() { Temperature = 0.9, TopP = 1, Seed = 3, MaxTokens = 12, IgnoreEos = true };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string> Readers => ["temperature", "log-probabilities", "penalty", "bias", "allowed", "bad words", "grammar", "thinking budget"];

    [Theory]
    [InlineData("float32")]
    [InlineData("bfloat16")]
    public async Task A_greedy_step_gathers_rows_times_ranks_pairs_and_no_row(string dtype)
    {
        var gathers = await GathersAsync(Enumerable.Repeat(Greedy, 6), options => options with { Dtype = dtype });
        Assert.Contains(gathers, call => call.Rows == 6);
        Assert.All(gathers, call => Assert.Equal((PairColumns, call.Rows * PairColumns * sizeof(float)), (call.Columns, call.Bytes)));
        // One row for each token of each sequence.
        Assert.Equal(6 * 12, gathers.Sum(call => call.Rows));
    }

    [Fact]
    public async Task A_sampled_row_among_greedy_ones_is_gathered_alone()
    {
        var gathers = await GathersAsync([.. Enumerable.Repeat(Greedy, 5), Sampled]);
        var whole = gathers.Where(call => call.Columns != PairColumns).ToArray();
        Assert.Equal(12, whole.Length);
        Assert.All(whole, call => Assert.Equal(1, call.Rows));
        Assert.Contains(gathers, call => call is { Columns: PairColumns, Rows: 6 });
    }

    [Fact]
    public async Task Sampled_rows_alone_are_gathered_whole_and_no_pair()
    {
        var gathers = await GathersAsync(Enumerable.Repeat(Sampled, 4));
        Assert.All(gathers, call => Assert.NotEqual(PairColumns, call.Columns));
        Assert.Equal(4 * 12, gathers.Sum(call => call.Rows));
    }

    [Theory]
    [MemberData(nameof(Readers))]
    public async Task Whatever_reads_or_changes_logits_gets_whole_rows(string what)
    {
        var gathers = await GathersAsync([what switch
        {
            "temperature" => Sampled,
            "log-probabilities" => Greedy with { Logprobs = 1 },
            "penalty" => Greedy with { PresencePenalty = 0.5 },
            "bias" => Greedy with { LogitBias = new Dictionary<int, double> { [7] = 3 } },
            "allowed" => Greedy with { AllowedTokenIds = [7, 8, 9] },
            "bad words" => Greedy with { BadWords = [" the"] },
            "grammar" => Greedy with { StructuredOutputs = new() { Regex = "[ab]{30}" } },
            "thinking budget" => Greedy with { ThinkingTokenBudget = 4 },
            _ => throw new ArgumentOutOfRangeException(nameof(what)),
        }]);
        Assert.NotEmpty(gathers);
        Assert.All(gathers, call => Assert.NotEqual(PairColumns, call.Columns));
    }

    [Fact]
    public async Task Rows_before_min_tokens_are_whole_and_those_after_are_not()
    {
        var gathers = await GathersAsync([Greedy with { MinTokens = 5, IgnoreEos = false, StopTokenIds = [2] }]);
        Assert.True(gathers.Count > 5);
        Assert.Equal(gathers.Select((_, index) => index < 5), gathers.Select(call => call.Columns != PairColumns));
    }

    [Fact]
    public async Task Rows_that_verify_drafts_are_taken_by_their_best_tokens_and_give_the_tokens_without_drafts()
    {
        var counted = new GatherRecordingRanks();
        await using var plain = await LoadAsync(new GatherRecordingRanks(), options => options with { Speculation = null });
        await using var engine = await LoadAsync(counted, options => options with { Speculation = SuiteExecutor.Ngram });
        var requests = Enumerable.Range(0, 4).Select(index => GenerationRequest.FromTokenIds([5, 6, 5, 6, 5, 6, 7 + index], Greedy with { MaxTokens = 60 })).ToArray();
        Assert.Equal(await TinyEngine.RunAsync(plain, requests), await TinyEngine.RunAsync(engine, requests));
        Assert.True(engine.Statistics.Speculation!.AcceptedTokens > 0);
        Assert.All(counted.Gathers[0], call => Assert.Equal(PairColumns, call.Columns));
        Assert.Contains(counted.Gathers[0], call => call.Rows > 4);
    }

    // Devices that choose tokens get the gathered logits on every rank, and feed their tokens to the next step.
    [Theory]
    [InlineData("tp2")]
    [InlineData("tp4")]
    [InlineData("tp2pp2")]
    public async Task Ranks_that_choose_tokens_themselves_choose_those_of_one_rank(string layout)
    {
        SuiteExecutor.SkipInAnotherProcess();
        var noted = new ConcurrentQueue<SampledRows>();
        var name = $"sampling-{layout}";
        using var registration = DeviceRegistry.Register(new(name, (_, settings) => new SamplingCpu(settings.StepsInFlight, noted)) { HasOrdinals = true });
        GenerationRequest[] requests = [.. Enumerable.Range(0, 10).Select(index => GenerationRequest.FromTokenIds([5, 6, 7 + index, .. Enumerable.Range(9, 11 * index)],
            (index % 4 == 1 ? Sampled with { Seed = index } : index == 8 ? Greedy with { Logprobs = 2 } : Greedy) with { MaxTokens = 10 + (3 * index) }))];
        await using (var one = await LlmEngine.LoadAsync(Options("tp1"), cancellationToken: Token))
        {
            var wanted = await TinyEngine.RunAsync(one, requests);
            Assert.All(noted, step => Assert.Equal(0, step.Best));
            noted.Clear();
            await using var several = await LlmEngine.LoadAsync(Options(layout), cancellationToken: Token);
            Assert.Equal(wanted, await TinyEngine.RunAsync(several, requests));
            Assert.Contains(noted, step => step is { Whole: 1, Best: > 1 });
            noted.Clear();
            var greedy = Enumerable.Range(0, 8).Where(index => index % 4 != 1).ToArray();
            Assert.Equal(greedy.Select(index => wanted[index]), await TinyEngine.RunAsync(several, [.. greedy.Select(index => requests[index])]));
            Assert.All(noted, step => Assert.Equal(0, step.Whole));
        }

        EngineOptions Options(string over) => RankLayout.Find(over)!.Of(TinyEngine.Options) with
        {
            Device = name, ExecutorFactory = new DeviceExecutorFactory(), MaxNumSeqs = 8, MaxNumBatchedTokens = 64, NumGpuBlocksOverride = 200, Speculation = null,
        };
    }

    // What both ranks gather for some requests. Also checks that their tokens are those of one rank.
    private static async Task<IReadOnlyList<GatherCall>> GathersAsync(IEnumerable<SamplingParams> sampling, Func<EngineOptions, EngineOptions>? change = null)
    {
        var ranks = new GatherRecordingRanks();
        await using var engine = await LoadAsync(ranks, change);
        var requests = sampling.Select((one, index) => GenerationRequest.FromTokenIds([5, 6, 7 + index], one)).ToArray();
        var ids = await TinyEngine.RunAsync(engine, requests);
        if (change is null)
        {
            await using var one = await LoadAsync(new DeviceExecutorFactory(), null);
            Assert.Equal(await TinyEngine.RunAsync(one, requests), ids);
        }

        Assert.Equal(ranks.Gathers[0].Select(call => call.Rows), ranks.Gathers[1].Select(call => call.Rows));
        return ranks.Gathers[0];
    }

    private static Task<LlmEngine> LoadAsync(IStepExecutorFactory factory, Func<EngineOptions, EngineOptions>? change)
    {
        var options = TinyEngine.Options with
        {
            Device = "cpu", ExecutorFactory = factory, MaxNumSeqs = 8, MaxNumBatchedTokens = 64, NumGpuBlocksOverride = 200, Speculation = null,
        };
        return LlmEngine.LoadAsync(change?.Invoke(options) ?? options, cancellationToken: Token);
    }
}
