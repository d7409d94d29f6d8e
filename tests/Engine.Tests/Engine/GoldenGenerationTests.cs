using System.Text.Json;
using LocalLlm.Templating;
using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

public class GoldenGenerationTests
{
    private const double ReferenceNoise = 1e-4;

    public static TheoryData<string> Decoders => ["qwen2-tied", "qwen2-untied", "llama-rope-llama3", "llama-head-dim", "qwen3",
        "deepseek-v2-lite", "deepseek-v2-group", "deepseek-v3-no-q-lora", "deepseek-v3-yarn"];

    [Theory]
    [MemberData(nameof(Decoders))]
    public async Task Greedy_ids_of_a_random_model_are_those_of_the_reference(string name)
    {
        var folder = TestPaths.Shared("goldens", "random", name);
        await using var engine = await SuiteExecutor.LoadAsync(Float32(folder) with { SkipTokenizerInit = true, MaxLogprobs = -1 }, cancellationToken: TestContext.Current.CancellationToken);
        var cases = new Models.GoldenFile(folder).Cases.Where(golden => golden.MinMargin > ReferenceNoise).ToArray();
        Assert.NotEmpty(cases);
        var results = await engine.GenerateBatchAsync([.. cases.Select(golden => GenerationRequest.FromTokenIds(golden.Ids, Greedy(golden.Greedy.Length) with { IgnoreEos = true, Logprobs = -1 }))], cancellationToken: TestContext.Current.CancellationToken);
        foreach (var (golden, result) in cases.Zip(results))
        {
            Assert.Null(result.Error);
            Assert.Equal(golden.Greedy, result.Outputs[0].TokenIds);
            AssertLogprobs(golden.LastLogits, result.Outputs[0].Logprobs![0]);
        }
    }

    [Theory]
    [InlineData("tiny-r1")]
    [InlineData("tiny-v3")]
    [InlineData("tiny-v3-fp8")]
    public async Task Greedy_ids_of_a_trained_model_are_those_of_the_reference(string model)
    {
        await using var engine = await SuiteExecutor.LoadAsync(Float32(TestPaths.Shared("models", model)), cancellationToken: TestContext.Current.CancellationToken);
        await AssertTrainedAsync(engine, model);
    }

    /// <summary>
    /// Checks all prompts of a trained model at once, except those whose outputs contain a choice between two nearly equally likely tokens.
    /// </summary>
    internal static async Task AssertTrainedAsync(LlmEngine engine, string model)
    {
        using var golden = JsonDocument.Parse(await File.ReadAllBytesAsync(TestPaths.Shared("goldens", "trained", $"{model}.json"), TestContext.Current.CancellationToken));
        var prompts = golden.RootElement.GetProperty("prompts").EnumerateArray().Where(prompt => prompt.GetProperty("near_ties").GetArrayLength() == 0).ToArray();
        var outputs = prompts.Select(prompt => Models.GoldenFile.Ints(prompt.GetProperty("output_ids"))).ToArray();
        var results = await engine.GenerateBatchAsync([.. prompts.Zip(outputs, (prompt, output) => GenerationRequest.FromTokenIds(Models.GoldenFile.Ints(prompt.GetProperty("ids")), Greedy(output.Length)))], cancellationToken: TestContext.Current.CancellationToken);
        for (var i = 0; i < prompts.Length; i++)
        {
            Assert.Null(results[i].Error);
            Assert.Equal(outputs[i], results[i].Outputs[0].TokenIds);
            Assert.Equal(prompts[i].GetProperty("output_text").GetString(), results[i].Outputs[0].Text);
            Assert.Equal(prompts[i].GetProperty("finish_reason").GetString(), results[i].Outputs[0].FinishReason.ToString().ToLowerInvariant());
        }
    }

    [Fact]
    public async Task Messages_become_the_references_prompt_and_ids()
    {
        using var golden = JsonDocument.Parse(await File.ReadAllBytesAsync(TestPaths.Shared("goldens", "trained", "tiny-r1.json"), TestContext.Current.CancellationToken));
        await using var engine = await SuiteExecutor.LoadAsync(Float32(TestPaths.TinyR1), cancellationToken: TestContext.Current.CancellationToken);
        foreach (var prompt in golden.RootElement.GetProperty("prompts").EnumerateArray().Where(prompt => prompt.GetProperty("messages").ValueKind == JsonValueKind.Array))
        {
            var chat = new ChatTemplateRequest { Messages = prompt.GetProperty("messages"), Tools = prompt.GetProperty("tools") };
            Assert.Equal(prompt.GetProperty("prompt").GetString(), engine.ChatTemplate!.Render(chat).Text);
            var result = await engine.CompleteAsync(new GenerationRequest { Chat = chat, Sampling = Greedy(1) }, TestContext.Current.CancellationToken);
            Assert.Equal(Models.GoldenFile.Ints(prompt.GetProperty("ids")), result.PromptTokenIds);
        }
    }

    [Fact]
    public async Task Special_tokens_in_a_users_text_never_become_control_tokens()
    {
        await using var engine = await SuiteExecutor.LoadAsync(Float32(TestPaths.TinyR1), cancellationToken: TestContext.Current.CancellationToken);
        var harmless = await PromptIds("x");
        foreach (var token in engine.Tokenizer!.AddedTokenTexts)
        {
            var ids = await PromptIds($"x{token}x");
            Assert.Equal(harmless.Count(engine.Tokenizer.IsAdded), ids.Count(engine.Tokenizer.IsAdded));
            Assert.Contains($"x{token}x", engine.Tokenizer.Decode(ids), StringComparison.Ordinal);
        }

        async Task<IReadOnlyList<int>> PromptIds(string text) =>
            (await engine.CompleteAsync(GenerationRequest.FromChat([new("user", text)], Greedy(1)), TestContext.Current.CancellationToken)).PromptTokenIds;
    }

    [Fact]
    public async Task Two_hundred_greedy_ids_of_stories260K_are_those_of_the_reference()
    {
        var folder = TestPaths.Shared("data", "weights", "stories260K-hf");
        using var golden = JsonDocument.Parse(await File.ReadAllBytesAsync(Path.Combine(folder, "golden_greedy.json"), TestContext.Current.CancellationToken));
        var tokens = golden.RootElement.GetProperty("steps").EnumerateArray().Select(step => step.GetProperty("token").GetInt32()).ToArray();
        await using var engine = await SuiteExecutor.LoadAsync(Float32(folder), cancellationToken: TestContext.Current.CancellationToken);
        var result = await engine.CompleteAsync(GenerationRequest.FromTokenIds(tokens[..1], Greedy(tokens.Length - 1) with { IgnoreEos = true }), TestContext.Current.CancellationToken);
        Assert.Equal(tokens[1..], result.Outputs[0].TokenIds);
    }

    private static EngineOptions Float32(string folder) => new() { ModelPath = folder, Dtype = "float32" };

    private static SamplingParams Greedy(int maxTokens) => new() { Temperature = 0, MaxTokens = maxTokens };

    private static void AssertLogprobs(float[] logits, TokenLogprobs actual)
    {
        var max = logits.Max();
        var logSum = Math.Log(logits.Sum(logit => Math.Exp(logit - max))) + max;
        Assert.Equal(logits.Length, actual.Top.Count);
        foreach (var entry in actual.Top)
            Assert.Equal(logits[entry.TokenId] - logSum, entry.Logprob, 1e-4);
    }
}
