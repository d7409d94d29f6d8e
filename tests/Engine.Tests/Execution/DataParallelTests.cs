using System.Text.Json;
using LocalLlm.Execution;
using LocalLlm.Tests.Models;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Data-parallel groups give the outputs of one rank: each computes attention for sequences of its own, and all share the experts, whose sums are
/// rounded in another order.
/// </summary>
public class DataParallelTests
{
    private const double ReferenceNoise = 1e-4;

    private static readonly string[] s_layouts = ["dp2", "dp4", "tp2dp2", "pp2dp2"];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static string V3 => TestPaths.Shared("models", "tiny-v3");

    public static TheoryData<string, string, bool> RandomModels
    {
        get
        {
            var data = new TheoryData<string, string, bool>();
            foreach (var model in Directory.GetDirectories(TestPaths.Shared("goldens", "random"), "deepseek*").Select(Path.GetFileName).Order())
            {
                foreach (var layout in s_layouts)
                {
                    data.Add(model!, layout, false);
                    data.Add(model!, layout, true);
                }
            }

            return data;
        }
    }

    public static TheoryData<string, string, bool> TrainedModels
    {
        get
        {
            var data = new TheoryData<string, string, bool>();
            foreach (var layout in s_layouts)
            {
                data.Add("tiny-v3", layout, false);
                data.Add("tiny-v3", layout, true);
            }

            data.Add("tiny-v3-fp8", "dp2", true);
            data.Add("tiny-v3-fp8", "tp2dp2", false);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(RandomModels))]
    public async Task Greedy_ids_of_a_random_model_are_those_of_the_reference(string name, string layout, bool whole)
    {
        var folder = TestPaths.Shared("goldens", "random", name);
        await using var engine = await LoadAsync(new() { ModelPath = folder, SkipTokenizerInit = true, EnableExpertParallel = whole }, layout);
        var cases = new GoldenFile(folder).Cases.Where(golden => golden.MinMargin > ReferenceNoise).ToArray();
        var results = await engine.GenerateBatchAsync([.. cases.Select(golden =>
            GenerationRequest.FromTokenIds(golden.Ids, new() { Temperature = 0, MaxTokens = golden.Greedy.Length, IgnoreEos = true }))], cancellationToken: Token);
        foreach (var (golden, result) in cases.Zip(results))
        {
            Assert.Null(result.Error);
            Assert.Equal(golden.Greedy, result.Outputs[0].TokenIds);
        }
    }

    [Theory]
    [MemberData(nameof(TrainedModels))]
    public async Task Greedy_ids_of_a_trained_model_are_those_of_the_reference(string model, string layout, bool whole)
    {
        using var golden = JsonDocument.Parse(await File.ReadAllBytesAsync(TestPaths.Shared("goldens", "trained", $"{model}.json"), Token));
        await using var engine = await LoadAsync(
            new() { ModelPath = TestPaths.Shared("models", model), MaxNumBatchedTokens = 64, MaxNumSeqs = 8, EnableExpertParallel = whole }, layout);
        var prompts = golden.RootElement.GetProperty("prompts").EnumerateArray().Where(prompt => prompt.GetProperty("near_ties").GetArrayLength() == 0).ToArray();
        var outputs = prompts.Select(prompt => GoldenFile.Ints(prompt.GetProperty("output_ids"))).ToArray();
        var results = await engine.GenerateBatchAsync([.. prompts.Zip(outputs, (prompt, output) =>
            GenerationRequest.FromTokenIds(GoldenFile.Ints(prompt.GetProperty("ids")), new() { Temperature = 0, MaxTokens = output.Length }))], cancellationToken: Token);
        Assert.Equal(outputs, results.Select(result => result.Outputs[0].TokenIds));
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
    }

    private static Task<LlmEngine> LoadAsync(EngineOptions options, string layout) => LlmEngine.LoadAsync(
        RankLayout.Find(layout)!.Of(options) with { Device = "cpu", Dtype = "float32", ExecutorFactory = new DeviceExecutorFactory() }, cancellationToken: Token);
}
