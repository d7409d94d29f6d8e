using System.Collections.Concurrent;
using LocalLlm.Execution;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Ops;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Stages on devices that choose tokens: the last stage's tokens reach the first stage without the host, and steps are submitted before the
/// host knows those tokens. The devices are registered for the whole process, so no other test may run at the same time.
/// </summary>
[Collection(nameof(RunsAlone))]
public sealed class PipelineAheadTests : IDisposable
{
    private const string Name = "sampling-cpu";

    private readonly ConcurrentQueue<SamplingCpu> _devices = [];
    private readonly IDisposable _kind;

    public PipelineAheadTests()
    {
        TorchLibrary.EnsureLoaded();
        _kind = DeviceRegistry.Register(new(Name, (_, settings) =>
        {
            var device = new SamplingCpu(settings.StepsInFlight);
            _devices.Enqueue(device);
            return device;
        }));
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // Counts in the first stage only: the other stages get the inputs too, but do not use them.
    private int NumFed => _devices.Where(device => device.NumKept > 0).Sum(device => device.NumFed);

    public void Dispose() => _kind.Dispose();

    [Theory]
    [InlineData("pp2", "tp1")]
    [InlineData("pp3", "tp1")]
    [InlineData("pp8", "tp1")]
    [InlineData("tp2pp2", "tp2")]
    public async Task Tokens_are_those_of_one_stage_and_reach_the_first_without_the_host(string layout, string oneStage)
    {
        var requests = Requests();
        var wanted = await RunAsync(oneStage, requests);
        _devices.Clear();
        await using var engine = await LoadAsync(layout);
        // Two rounds: in the second, other sequences have the places of the first round's tokens.
        foreach (var _ in (int[])[1, 2])
        {
            var got = await engine.GenerateBatchAsync(requests, cancellationToken: Token);
            for (var i = 0; i < requests.Length; i++)
            {
                Assert.Null(got[i].Error);
                Assert.Equal(wanted[i].Outputs.Select(Shown), got[i].Outputs.Select(Shown));
            }
        }

        Assert.True(NumFed > 100, $"{NumFed} tokens reached the first stage before the host knew them");
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
    }

    [Theory]
    [InlineData("pp2")]
    [InlineData("pp4")]
    public async Task Every_token_of_a_sequence_alone_but_the_first_is_an_input_before_the_host_knows_it(string layout)
    {
        await using var engine = await LoadAsync(layout);
        await engine.CompleteAsync(GenerationRequest.FromTokenIds([5, 6], new() { Temperature = 0, MaxTokens = 20, IgnoreEos = true }), Token);
        Assert.Equal(19, NumFed);
        // With bad words, each choice needs the tokens before it, so the host must know them.
        await engine.CompleteAsync(GenerationRequest.FromTokenIds([5, 6], new() { Temperature = 0, MaxTokens = 20, IgnoreEos = true, BadWords = [" the"] }), Token);
        Assert.Equal(19, NumFed);
    }

    // A grammar changes as it is used, and ranks run on threads, so no two ranks may share one grammar.
    [Fact]
    public async Task Ranks_that_choose_the_same_tokens_have_grammars_of_their_own()
    {
        var requests = Enumerable.Range(0, 24).Select(i => GenerationRequest.FromText(
            $"Say {i}", new() { Temperature = 0.7, Seed = i, MaxTokens = 40, StructuredOutputs = new() { Regex = $"([a-z ]{{1,{i + 2}}}[0-9]){{3,9}}!" } })).ToArray();
        var one = await RunAsync("tp1", requests);
        var two = await RunAsync("tp2", requests);
        Assert.All(two, result => Assert.Null(result.Error));
        Assert.Equal(one.Select(result => result.Outputs[0].FinishReason), two.Select(result => result.Outputs[0].FinishReason));
    }

    [Fact]
    public async Task Stages_have_a_step_each_and_one_more_waits_for_the_first()
    {
        await using var engine = await LoadAsync("pp3");
        await engine.GenerateBatchAsync(Simple(9, 20), cancellationToken: Token);
        Assert.Equal(4, _devices.Max(device => device.MaxUnderWay));
    }

    [Theory]
    [InlineData("pp2")]
    [InlineData("pp3")]
    public async Task Nearly_all_tokens_of_many_sequences_are_inputs_before_the_host_knows_them(string layout)
    {
        await using var engine = await LoadAsync(layout, options => options with { MaxNumSeqs = 16 });
        var requests = Enumerable.Range(1, 24).Select(i => GenerationRequest.FromTokenIds([5, 6 + i], new() { Temperature = 0, MaxTokens = 4 * i, IgnoreEos = true })).ToArray();
        await engine.GenerateBatchAsync(requests, cancellationToken: Token);
        Assert.InRange(NumFed, 1000, (4 * 24 * 25 / 2) - 24);
    }

    [Theory]
    [InlineData("pp2")]
    [InlineData("pp3")]
    public async Task Preemption_changes_no_token(string layout)
    {
        var requests = Simple(10, 60);
        var wanted = await RunAsync("tp1", requests);
        await using var tight = await LoadAsync(layout, options => options with
        {
            MaxNumSeqs = 6, MaxNumBatchedTokens = 48, MaxModelLen = 192, NumGpuBlocksOverride = 14, SchedulerReserveFullIsl = false,
        });
        var got = await tight.GenerateBatchAsync(requests, cancellationToken: Token);
        Assert.Equal(wanted.Select(result => Shown(result.Outputs[0])), got.Select(result => Shown(result.Outputs[0])));
        Assert.True(tight.Statistics.Preemptions > 0);
        Assert.Equal(tight.Statistics.KvBlocksTotal, tight.Statistics.KvBlocksFree);
    }

    [Fact]
    public async Task A_last_stage_that_fails_ends_the_first_which_waits_for_its_tokens()
    {
        await using var engine = await LoadAsync("pp2");
        foreach (var device in _devices)
            device.FailingSampling = 10;
        var running = engine.CompleteAsync(GenerationRequest.FromTokenIds([5, 6], new() { Temperature = 0, MaxTokens = 200, IgnoreEos = true }), Token);
        var failure = await Assert.ThrowsAsync<EngineException>(() => running.WaitAsync(TimeSpan.FromMinutes(1), Token));
        Assert.Equal(EngineErrorKind.EngineDead, failure.Kind);
        Assert.Contains("this sampling fails", failure.ToString(), StringComparison.Ordinal);
        await engine.Completion.WaitAsync(TimeSpan.FromMinutes(1), Token);
    }

    [Fact]
    public void Stages_of_several_processes_leave_the_tokens_to_the_host()
    {
        var node = NodeRanks.Create(new(1, 2, 1), 0, [Name, Name], 1);
        Assert.All(node.Ranks, rank => Assert.NotNull(rank.SampledIds));
        Assert.All(node.Ranks, rank => Assert.True(new SampledTokens(rank, new SamplingCpu(3), 8).AreFed));
        node.DisposeFrom(0);
        var plan = new ParallelPlan(1, 2, 2);
        using var alone = new RankContext(plan, 1, Name, new SingleRankCollectives());
        Assert.False(new SampledTokens(alone, new SamplingCpu(3), 8).AreFed);
    }

    private static string Shown(CompletionOutput output) => $"{output.FinishReason} [{string.Join(' ', output.TokenIds)}]";

    // Half are greedy, half seeded; top-p cuts nothing from the distribution.
    private static GenerationRequest[] Simple(int count, int maxTokens) => [.. TinyEngine.Requests(count, maxTokens)
        .Select(request => request with { Sampling = request.Sampling with { TopP = 1 } })];

    // Requests that are greedy, seeded, dependent on earlier tokens, held by a grammar, or sampled on the host.
    private static GenerationRequest[] Requests() =>
    [
        .. Simple(12, 24),
        GenerationRequest.FromText("Count: 1, 2,", new() { Temperature = 0, MaxTokens = 20, Logprobs = 3, PromptLogprobs = 2 }),
        GenerationRequest.FromText("Once", new() { Temperature = 0.8, Seed = 3, N = 3, MaxTokens = 20 }),
        GenerationRequest.FromText("Once", new() { Temperature = 0, MaxTokens = 30, BadWords = [" the"], Stop = ["a"] }),
        GenerationRequest.FromText("Say", new() { Temperature = 0.7, Seed = 5, MaxTokens = 40, StructuredOutputs = new() { Regex = "[a-c]{5,9}!" } }),
    ];

    private async Task<IReadOnlyList<GenerationResult>> RunAsync(string layout, GenerationRequest[] requests)
    {
        await using var engine = await LoadAsync(layout);
        return await engine.GenerateBatchAsync(requests, cancellationToken: Token);
    }

    private static Task<LlmEngine> LoadAsync(string layout, Func<EngineOptions, EngineOptions>? change = null)
    {
        var options = TinyEngine.Options with { MaxNumSeqs = 8, MaxNumBatchedTokens = 64, Speculation = null };
        options = RankLayout.Find(layout)!.Of(change?.Invoke(options) ?? options);
        return LlmEngine.LoadAsync(options with { Device = Name, ExecutorFactory = new DeviceExecutorFactory() }, cancellationToken: Token);
    }
}
