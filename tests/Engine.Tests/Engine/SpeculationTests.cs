using LocalLlm.Execution;
using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>Drafts change only the speed: in float32 on the CPU every id, text and log-probability is the same as without drafts.</summary>
public class SpeculationTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("alone")]
    [InlineData("prefix cache")]
    [InlineData("chunks")]
    [InlineData("tight")]
    [InlineData("whole prompts")]
    [InlineData("priority")]
    [InlineData("many drafts")]
    [InlineData("long look-up")]
    [InlineData("tp2")]
    [InlineData("pp2")]
    [InlineData("tp2pp2")]
    [InlineData("serializing")]
    [InlineData("delayed")]
    [InlineData("ahead")]
    [InlineData("process")]
    public async Task Every_output_is_the_one_without_drafts(string way)
    {
        var options = TinyEngine.Options with { Device = "cpu", MaxNumSeqs = 8, MaxNumBatchedTokens = 64, ExecutorFactory = new DeviceExecutorFactory() };
        await using var plain = await LlmEngine.LoadAsync(options with { Speculation = null, ExecutorFactory = FactoryOf(way is "tp2" or "tp2pp2" ? way : "alone"), SchedulingPolicy = way == "priority" ? SchedulingPolicy.Priority : SchedulingPolicy.Fcfs }, cancellationToken: Token);
        var changed = way switch
        {
            "prefix cache" => options with { EnablePrefixCaching = true, MaxNumSeqs = 2 },
            "chunks" => options with { LongPrefillTokenThreshold = 5, EnablePrefixCaching = false },
            "tight" => options with { NumGpuBlocksOverride = 24, SchedulerReserveFullIsl = false },
            "whole prompts" => options with { EnableChunkedPrefill = false, MaxNumBatchedTokens = 2048 },
            "priority" => options with { SchedulingPolicy = SchedulingPolicy.Priority, NumGpuBlocksOverride = 24 },
            _ => options,
        };
        var speculation = way switch
        {
            "many drafts" => SuiteExecutor.Ngram with { NumSpeculativeTokens = 32 },
            "long look-up" => SuiteExecutor.Ngram with { PromptLookupMin = 3, PromptLookupMax = 32 },
            _ => SuiteExecutor.Ngram,
        };
        await using var engine = await LlmEngine.LoadAsync(changed with { Speculation = speculation, ExecutorFactory = FactoryOf(way) }, cancellationToken: Token);
        var requests = Requests(way);
        var expected = await plain.GenerateBatchAsync(requests, cancellationToken: Token);
        for (var round = 0; round < (way == "prefix cache" ? 2 : 1); round++)
            Compare(requests, expected, await engine.GenerateBatchAsync(requests, cancellationToken: Token));
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
        var figures = engine.Statistics.Speculation!;
        Assert.True(figures.AcceptedTokens > 100 && figures.AcceptedTokens < figures.DraftTokens, $"{figures.AcceptedTokens} of {figures.DraftTokens} drafts were accepted");
        Assert.Null(plain.Statistics.Speculation);
        if (way is "tight" or "priority")
            Assert.NotEqual(0, engine.Statistics.Preemptions);
    }

    /// <summary>The draft may end before, at or after the last token.</summary>
    [Fact]
    public async Task Every_length_is_exactly_what_was_asked_for()
    {
        await using var plain = await TinyEngine.LoadAsync(options => options with { Speculation = null });
        await using var engine = await TinyEngine.LoadAsync(options => options with { Speculation = SuiteExecutor.Ngram with { NumSpeculativeTokens = 8 } });
        GenerationRequest[] requests = [.. Enumerable.Range(1, 70).Select(length => GenerationRequest.FromChat(FactPrompts.Chat(3, 6), new() { Temperature = 0, MaxTokens = length, IgnoreEos = true }))];
        var expected = await TinyEngine.RunAsync(plain, requests);
        var ids = await TinyEngine.RunAsync(engine, requests);
        Assert.Equal(expected, ids);
        Assert.Equal(Enumerable.Range(1, 70), ids.Select(one => one.Length));
        Assert.True(engine.Statistics.Speculation!.AcceptedTokens > 100, $"{engine.Statistics.Speculation}");
    }

    [Fact]
    public async Task The_context_ends_where_it_ends_without_drafts()
    {
        // Prompts of 1 to 30 tokens, of which all after the first seven repeat; generation runs to the end of the context.
        int[] loop = [300, 301, 302, 303, 304, 305, 306];
        GenerationRequest[] requests = [.. Enumerable.Range(1, 30).Select(length => GenerationRequest.FromTokenIds([.. Enumerable.Range(0, length).Select(i => loop[i % 7])], new() { Temperature = 0, MaxTokens = 100, IgnoreEos = true, LogitBias = new Dictionary<int, double> { [300] = 100 } }))];
        await using var plain = await TinyEngine.LoadAsync(options => options with { Speculation = null, MaxModelLen = 48 });
        await using var engine = await TinyEngine.LoadAsync(options => options with { Speculation = SuiteExecutor.Ngram with { NumSpeculativeTokens = 8 }, MaxModelLen = 48 });
        var ids = await TinyEngine.RunAsync(engine, requests);
        Assert.Equal(await TinyEngine.RunAsync(plain, requests), ids);
        Assert.Equal(Enumerable.Range(1, 30).Select(length => 48 - length), ids.Select(one => one.Length));
    }

    [Fact]
    public async Task Fewer_steps_give_the_same_tokens()
    {
        await using var plain = await TinyEngine.LoadAsync(options => options with { Speculation = null });
        await using var engine = await TinyEngine.LoadAsync(options => options with { Speculation = SuiteExecutor.Ngram });
        var request = GenerationRequest.FromChat(FactPrompts.Chat(5, 12), new() { Temperature = 0, MaxTokens = 120, IgnoreEos = true });
        var expected = await TinyEngine.RunAsync(plain, [request]);
        Assert.Equal(expected, await TinyEngine.RunAsync(engine, [request]));
        var figures = engine.Statistics.Speculation!;
        Assert.Equal(120, plain.Statistics.Steps);
        Assert.Equal(120 - figures.AcceptedTokens, engine.Statistics.Steps);
        Assert.True(figures.AcceptedTokens > 50, $"{figures}");
        Assert.Equal(figures.AcceptedTokens, figures.AcceptedTokensPerPosition.Sum());
    }

    private static IStepExecutorFactory FactoryOf(string way) =>
        RankLayout.Find(way) is not null || way is "serializing" or "delayed" or "ahead" or "process" ? SuiteExecutor.Create(way) : new DeviceExecutorFactory();

    // Every way of choosing tokens, over prompts that drafts can be copied from.
    private static GenerationRequest[] Requests(string way)
    {
        var greedy = new SamplingParams { Temperature = 0, MaxTokens = 60, IgnoreEos = true };
        var sampled = new SamplingParams { Temperature = 0.7, TopP = 0.9, Seed = 11, MaxTokens = 60, IgnoreEos = true };
        SamplingParams[] all =
        [
            greedy,
            sampled,
            sampled with { TopK = 20, MinP = 0.02, Seed = 5 },
            sampled with { N = 3, Seed = 7, MaxTokens = 40 },
            greedy with { Logprobs = 3, PromptLogprobs = 2 },
            sampled with { Logprobs = 2, Seed = 8 },
            greedy with { RepetitionPenalty = 1.2, MaxTokens = 40 },
            sampled with { PresencePenalty = 0.6, FrequencyPenalty = 0.4, Seed = 9 },
            greedy with { LogitBias = new Dictionary<int, double> { [9] = 2, [40] = -3 } },
            greedy with { BadWords = [" Vega", "km"] },
            greedy with { Stop = ["of the Nova", "dollars. No"], MinTokens = 4 },
            greedy with { Stop = ["e"], IncludeStopStrInOutput = true, MinTokens = 12 },
            greedy with { IgnoreEos = false, MinTokens = 25 },
            greedy with { IgnoreEos = false, StopTokenIds = [.. Enumerable.Range(300, 200)], MinTokens = 3 },
            sampled with { AllowedTokenIds = [.. Enumerable.Range(20, 60)] },
            greedy with { IgnoreEos = false, StructuredOutputs = new() { Regex = "([a-c]{3},){4,9}!" } },
            sampled with { IgnoreEos = false, StructuredOutputs = new() { Regex = "(range [0-9]{4}; ){2,6}end" } },
            greedy with { IgnoreEos = false, StructuredOutputs = new() { Choice = ["camera camera camera motor", "camera camera printer motor"] } },
        ];
        return
        [
            .. all.Select((sampling, i) => GenerationRequest.FromChat(FactPrompts.Chat(i, 5), sampling) with { Priority = way == "priority" ? i % 3 : 0 }),
            .. all.Take(4).Select((sampling, i) => GenerationRequest.FromChat(FactPrompts.Chat(100 + i, 8), sampling with { IgnoreEos = false, MaxTokens = 120 })),
            GenerationRequest.FromChat([new("user", "What is 2 + 3?")], greedy with { IgnoreEos = false, ThinkingTokenBudget = 4 }),
            .. TinyEngine.Requests(8, 40),
        ];
    }

    private static void Compare(GenerationRequest[] requests, IReadOnlyList<GenerationResult> expected, IReadOnlyList<GenerationResult> results)
    {
        for (var i = 0; i < requests.Length; i++)
        {
            Assert.Equal((i, expected[i].Error), (i, results[i].Error));
            Assert.Equal(expected[i].Outputs.Select(output => $"{i} {Shown(output)}"), results[i].Outputs.Select(output => $"{i} {Shown(output)}"));
            Assert.Equal(expected[i].PromptLogprobs?.Select(Shown), results[i].PromptLogprobs?.Select(Shown));
            Assert.Equal(expected[i].Usage.CompletionTokens, results[i].Usage.CompletionTokens);
        }
    }

    private static string Shown(CompletionOutput output) =>
        $"{output.FinishReason} {output.StopString} {output.StopTokenId} [{string.Join(' ', output.TokenIds)}] {output.Text} {string.Join(';', output.Logprobs?.Select(Shown) ?? [])}";

    private static string Shown(TokenLogprobs? position) => position is null ? "none" : $"{position.Chosen} {string.Join(',', position.Top)}";
}
