using LocalLlm.Execution;
using LocalLlm.Tests.Execution;
using LocalLlm.Tests.Models;
using LocalLlm.Tests.Ops;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>
/// DeepSeek over ranks on one, two and four GPUs, compared with the references: split heads and experts, whole experts, stages, and
/// data-parallel groups.
/// </summary>
public sealed class CudaDeepseekParallelTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // Layout, whether experts are whole, and number of GPUs.
    public static TheoryData<string, bool, int> Layouts => new()
    {
        { "tp2", false, 1 }, { "tp2", true, 1 }, { "pp2", false, 1 }, { "tp2", false, 2 }, { "tp2", true, 2 }, { "pp2", false, 2 },
        { "dp2", false, 1 }, { "dp2", true, 1 }, { "dp2", false, 2 }, { "dp2", true, 2 }, { "tp2dp2", true, 4 }, { "pp2dp2", false, 4 }, { "dp4", true, 4 },
    };

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Greedy_float32_ids_of_trained_models_are_those_of_the_reference(string layout, bool wholeExperts, int cards)
    {
        CardRanks.Require(cards);
        foreach (var model in CudaDeepseekEngineTests.Models)
        {
            await using var engine = await LoadAsync(TestPaths.Shared("models", model), "float32", layout, wholeExperts, cards);
            await GoldenGenerationTests.AssertTrainedAsync(engine, model);
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Greedy_float32_ids_of_random_models_are_those_of_the_reference(string layout, bool wholeExperts, int cards)
    {
        CardRanks.Require(cards);
        foreach (var name in (string[])["deepseek-v2-lite", "deepseek-v2-group", "deepseek-v3-no-q-lora", "deepseek-v3-yarn"])
        {
            var folder = TestPaths.Shared("goldens", "random", name);
            // Ranks add in another order than the reference, so cases with near ties are left out.
            var cases = new GoldenFile(folder).Cases.Where(golden => golden.MinMargin > 1e-3).ToArray();
            Assert.NotEmpty(cases);
            await using var engine = await LoadAsync(folder, "float32", layout, wholeExperts, cards);
            var results = await engine.GenerateBatchAsync([.. cases.Select(golden => GenerationRequest.FromTokenIds(
                golden.Ids, CudaEngineTests.Greedy(golden.Greedy.Length) with { IgnoreEos = true }))], cancellationToken: Token);
            foreach (var (golden, result) in cases.Zip(results))
                Assert.Equal(golden.Greedy, result.Outputs[0].TokenIds);
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Bfloat16_answers_are_as_likely_as_on_one_rank(string layout, bool wholeExperts, int cards)
    {
        CardRanks.Require(cards);
        foreach (var model in CudaDeepseekEngineTests.Models)
        {
            var folder = TestPaths.Shared("models", model);
            IReadOnlyList<GenerationResult> expected;
            await using (var one = await LoadAsync(folder, "bfloat16", "tp1", wholeExperts: false, cards: 1))
                expected = await one.GenerateBatchAsync(CudaEngineTests.Requests(32, allLogprobs: true), cancellationToken: Token);
            await using var several = await LoadAsync(folder, "bfloat16", layout, wholeExperts, cards);
            var answers = await several.GenerateBatchAsync(CudaEngineTests.Requests(32), cancellationToken: Token);
            await ScoredAnswers.AssertAsLikelyAsync(several, expected, Token);
            CudaDeepseekEngineTests.AssertEqualButForTies(expected, answers, ScoredAnswers.FarthestRouterTie);
            Assert.Equal(several.Statistics.KvBlocksTotal, several.Statistics.KvBlocksFree);
        }
    }

    private static Task<LlmEngine> LoadAsync(string folder, string dtype, string layout, bool wholeExperts, int cards) =>
        SuiteExecutor.LoadAsync(
            RankLayout.Find(layout)!.Of(new()
            {
                ModelPath = folder, Dtype = CardTypes.NameOf(dtype), Device = cards == 1 ? "cuda:0" : "cuda", GpuMemoryUtilization = 0.5, EnableExpertParallel = wholeExperts,
                SkipTokenizerInit = !File.Exists(Path.Combine(folder, "tokenizer.json")), ExecutorFactory = new DeviceExecutorFactory(),
            }),
            cancellationToken: Token);
}
