using LocalLlm.Execution;
using LocalLlm.Tests.Engine;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// The outputs are the same wherever steps run and however their results arrive. LOCALLLM_TEST_EXECUTOR runs all other tests on one of
/// these executors.
/// </summary>
public class ExecutorTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("serializing")]
    [InlineData("delayed")]
    [InlineData("ahead")]
    [InlineData("process")]
    [InlineData("pp2")]
    [InlineData("pp3")]
    public async Task Outputs_are_those_of_a_device_in_this_process(string executor)
    {
        await using var expected = await LoadAsync(new DeviceExecutorFactory());
        await using var engine = await LoadAsync(SuiteExecutor.Create(executor));
        var requests = Requests();
        var wanted = await expected.GenerateBatchAsync(requests, cancellationToken: Token);
        var got = await engine.GenerateBatchAsync(requests, cancellationToken: Token);
        for (var i = 0; i < requests.Length; i++)
        {
            Assert.Null(got[i].Error);
            Assert.Equal(wanted[i].Outputs.Select(Shown), got[i].Outputs.Select(Shown));
            Assert.Equal(wanted[i].PromptLogprobs?.Select(Shown), got[i].PromptLogprobs?.Select(Shown));
            Assert.Equal(wanted[i].Usage.CompletionTokens, got[i].Usage.CompletionTokens);
        }

        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
    }

    [Fact]
    public async Task An_executor_may_bring_none_one_two_or_three_tokens_at_once()
    {
        DelayedExecutor? delayed = null;
        await using var engine = await LoadAsync(new DecoratingFactory(inner => delayed = new DelayedExecutor(inner)));
        await engine.GenerateBatchAsync(Requests(), cancellationToken: Token);
        Assert.All(delayed!.NumResults, count => Assert.NotEqual(0, count));
    }

    [Fact]
    public async Task An_executor_that_feeds_its_tokens_gets_steps_before_they_are_known()
    {
        AheadExecutor? ahead = null;
        await using var engine = await LoadAsync(new DecoratingFactory(inner => ahead = new AheadExecutor(inner)), options => options with { Speculation = null });
        await engine.CompleteAsync(GenerationRequest.FromTokenIds([5, 6], new() { Temperature = 0, MaxTokens = 20, IgnoreEos = true }), Token);
        Assert.Equal(19, ahead!.NumFedTokens);
        await engine.CompleteAsync(GenerationRequest.FromTokenIds([5, 6], new() { Temperature = 0, MaxTokens = 20, IgnoreEos = true, RepetitionPenalty = 1.1 }), Token);
        Assert.Equal(19, ahead.NumFedTokens);
    }

    // As with one process per GPU: the rank's process chooses tokens, and gets the next step before this process knows the current step's
    // tokens.
    [Fact]
    public async Task A_rank_in_a_process_of_its_own_runs_ahead_as_one_in_this_process()
    {
        var request = GenerationRequest.FromTokenIds([5, 6], new() { Temperature = 0, MaxTokens = 20, IgnoreEos = true });
        await using var here = await LoadAsync(new DecoratingFactory(inner => inner), options => options with { Speculation = null });
        var expected = (await here.CompleteAsync(request, Token)).Outputs[0].TokenIds;
        AheadExecutor? ahead = null;
        await using var engine = await LoadAsync(
            new DecoratingFactory(inner => new ClusteredExecutor(ahead = new AheadExecutor(inner))), options => options with { Speculation = null });
        Assert.Equal(expected, (await engine.CompleteAsync(request, Token)).Outputs[0].TokenIds);
        Assert.Equal(19, ahead!.NumFedTokens);
    }

    [Fact]
    public async Task A_process_that_is_gone_ends_the_engine()
    {
        ProcessExecutor? process = null;
        await using var engine = await LoadAsync(new ProcessExecutorFactory(created => process = created));
        var running = engine.CompleteAsync(GenerationRequest.FromTokenIds([5, 6], new() { MaxTokens = 1500, IgnoreEos = true }), Token);
        process!.Kill();
        var failure = await Assert.ThrowsAsync<EngineException>(() => running.WaitAsync(TimeSpan.FromMinutes(2), Token));
        Assert.Equal(EngineErrorKind.EngineDead, failure.Kind);
        await engine.Completion;
    }

    private static Task<LlmEngine> LoadAsync(IStepExecutorFactory factory, Func<EngineOptions, EngineOptions>? change = null)
    {
        var options = TinyEngine.Options with { ExecutorFactory = factory, Device = "cpu", MaxNumSeqs = 8, MaxNumBatchedTokens = 64 };
        return LlmEngine.LoadAsync(change?.Invoke(options) ?? options, cancellationToken: Token);
    }

    // Every way of choosing tokens.
    internal static GenerationRequest[] Requests() =>
    [
        .. TinyEngine.Requests(12, 24),
        GenerationRequest.FromText("Count: 1, 2,", new() { Temperature = 0, MaxTokens = 20, Logprobs = 3, PromptLogprobs = 2 }),
        GenerationRequest.FromText("Once", new() { Temperature = 0.8, Seed = 3, N = 3, MaxTokens = 20, PresencePenalty = 1, RepetitionPenalty = 1.2 }),
        GenerationRequest.FromText("Once", new() { Temperature = 0, MaxTokens = 30, BadWords = [" the"], Stop = ["a"] }),
        GenerationRequest.FromText("Say", new() { Temperature = 0.7, Seed = 5, MaxTokens = 40, StructuredOutputs = new() { Regex = "[a-c]{5,9}!" } }),
        GenerationRequest.FromChat([new("user", "What is 2 + 3?")], new() { Temperature = 0, MaxTokens = 60, ThinkingTokenBudget = 4 }),
        GenerationRequest.FromText("A", new() { Temperature = 0, MinTokens = 5, MaxTokens = 9, LogitBias = new Dictionary<int, double> { [9] = 50 } }),
    ];

    private static string Shown(CompletionOutput output) =>
        $"{output.FinishReason} {output.StopString} {output.StopTokenId} [{string.Join(' ', output.TokenIds)}] {output.Text} {string.Join(';', output.Logprobs?.Select(Shown) ?? [])}";

    private static string Shown(TokenLogprobs? position) =>
        position is null ? "none" : $"{position.Chosen} {string.Join(',', position.Top)}";
}
