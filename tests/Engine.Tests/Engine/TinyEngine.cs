using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>The shipped tiny model in float32, and prompts for it.</summary>
internal static class TinyEngine
{
    private const int VocabularySize = 4072;

    public static EngineOptions Options => new() { ModelPath = TestPaths.TinyR1, Dtype = "float32", Speculation = SuiteExecutor.Speculation };

    public static Task<LlmEngine> LoadAsync(Func<EngineOptions, EngineOptions>? change = null) =>
        LlmEngine.LoadAsync(change is null ? Options : change(Options), cancellationToken: TestContext.Current.CancellationToken);

    /// <summary>Requests of mixed length, some with a common beginning, half greedy and half seeded.</summary>
    public static GenerationRequest[] Requests(int count, int maxTokens, int seed = 1)
    {
        var random = new Random(seed);
        var common = Ids(random, 70);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            var own = Ids(random, random.Next(1, 90));
            var ids = i % 3 == 0 ? [.. common[..random.Next(1, common.Length)], .. own] : own;
            var sampling = i % 2 == 0
                ? new SamplingParams { Temperature = 0, MaxTokens = maxTokens, IgnoreEos = true }
                : new SamplingParams { Temperature = 0.9, TopP = 0.95, Seed = i, MaxTokens = maxTokens, IgnoreEos = true };
            return GenerationRequest.FromTokenIds(ids, sampling);
        })];
    }

    public static async Task<int[][]> RunAsync(LlmEngine engine, IReadOnlyList<GenerationRequest> requests)
    {
        var results = await engine.GenerateBatchAsync(requests, cancellationToken: TestContext.Current.CancellationToken);
        Assert.All(results, result => Assert.Null(result.Error));
        return [.. results.Select(result => result.Outputs[0].TokenIds.ToArray())];
    }

    private static int[] Ids(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(VocabularySize))];
}
