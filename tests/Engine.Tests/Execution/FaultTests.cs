using System.Diagnostics;
using System.Diagnostics.Metrics;
using LocalLlm.Tests.Engine;
using Microsoft.Extensions.Logging;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>Whatever goes wrong with steps, every waiting caller gets an end, and no caller sees the exception that was thrown.</summary>
public class FaultTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static EngineOptions Options => TinyEngine.Options with { Device = "cpu" };

    [Theory]
    [InlineData(nameof(Fault.Fail))]
    [InlineData(nameof(Fault.FailAtSubmit))]
    public async Task A_step_that_fails_ends_its_requests_and_no_later_one(string fault)
    {
        await using var engine = await LoadAsync(new(step => step == 2 ? Enum.Parse<Fault>(fault) : Fault.None));
        var failed = await Assert.ThrowsAsync<EngineException>(() => ResultAsync(engine, 8));
        Assert.Equal((EngineErrorKind.GenerationFailed, "The step that computed this sequence failed."), (failed.Kind, failed.Message));
        Assert.Equal(FinishReason.Length, (await ResultAsync(engine, 8)).Outputs[0].FinishReason);
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
        Assert.True(engine.IsAlive);
    }

    [Fact]
    public async Task Two_failures_are_forgotten_after_a_step_that_succeeds()
    {
        await using var engine = await LoadAsync(new(step => step % 3 == 0 ? Fault.None : Fault.Fail));
        for (var i = 0; i < 12; i++)
            await AssertAllEndAsync([Run(engine, 1)]);
        Assert.True(engine.IsAlive);
    }

    [Fact]
    public async Task Three_failures_in_a_row_end_the_engine()
    {
        await using var engine = await LoadAsync(new(step => step > 1 ? Fault.Fail : Fault.None));
        var requests = Enumerable.Range(0, 8).Select(_ => Run(engine, 4)).ToArray();
        await AssertAllEndAsync(requests);
        for (var i = 0; i < 3 && engine.IsAlive; i++)
            await AssertAllEndAsync([Run(engine, 4)]);
        await AssertDeadAsync(engine);
    }

    [Fact]
    public async Task A_failure_with_other_steps_in_flight_ends_its_own_sequences_only()
    {
        // With one sequence per step, four steps of four sequences are in flight.
        await using var engine = await LoadAsync(
            new(step => step == 6 ? Fault.Fail : Fault.None, inner => new DelayedExecutor(inner)), options => options with { MaxNumBatchedTokens = 4, MaxNumSeqs = 4 });
        var requests = Enumerable.Range(0, 4).Select(_ => Run(engine, 12)).ToArray();
        await AssertAllEndAsync(requests);
        Assert.InRange(requests.Count(request => request.IsFaulted), 1, 3);
        Assert.True(engine.IsAlive);
        Assert.Equal(FinishReason.Length, (await ResultAsync(engine, 8)).Outputs[0].FinishReason);
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
    }

    [Theory]
    [InlineData(nameof(Fault.Fail))]
    [InlineData(nameof(Fault.FailAtSubmit))]
    public async Task A_failure_with_the_next_step_submitted_ahead_ends_its_sequences_and_no_later_one(string fault)
    {
        await using var engine = await LoadAsync(new(step => step == 4 ? Enum.Parse<Fault>(fault) : Fault.None, inner => new AheadExecutor(inner)));
        var failed = await Assert.ThrowsAsync<EngineException>(() => ResultAsync(engine, 12));
        Assert.Equal(EngineErrorKind.GenerationFailed, failed.Kind);
        Assert.Equal(FinishReason.Length, (await ResultAsync(engine, 12)).Outputs[0].FinishReason);
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
        Assert.True(engine.IsAlive);
    }

    [Fact]
    public async Task A_logger_that_throws_harms_no_request()
    {
        await using var engine = await LoadAsync(new(step => step == 2 ? Fault.Fail : Fault.None), options => options with { LoggerFactory = new ThrowingLoggers() });
        await Assert.ThrowsAsync<EngineException>(() => ResultAsync(engine, 8));
        Assert.Equal(FinishReason.Length, (await ResultAsync(engine, 8)).Outputs[0].FinishReason);
        Assert.True(engine.IsAlive);
    }

    [Fact]
    public async Task A_trace_listener_that_throws_keeps_no_caller_waiting()
    {
        using var source = new ActivityListener
        {
            ShouldListenTo = listened => listened.Name == EngineMetrics.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity =>
            {
                if (activity.GetTagItem("gen_ai.request.model") is "throwing")
                    throw new InvalidOperationException("secret: a listener's fault");
            },
        };
        ActivitySource.AddActivityListener(source);
        await using var engine = await LoadAsync(new(step => step == 5 ? Fault.DieAtComplete : Fault.None), options => options with { ServedModelName = "throwing", MaxNumSeqs = 2 });
        await AssertAllEndAsync([.. Enumerable.Range(0, 20).Select(_ => Run(engine, 64))]);
        await AssertDeadAsync(engine);
    }

    [Theory]
    [InlineData(nameof(Fault.OutOfMemory))]
    [InlineData(nameof(Fault.DieAtSubmit))]
    [InlineData(nameof(Fault.DieAtComplete))]
    public async Task Engine_death_ends_every_request_including_waiting_ones(string fault)
    {
        await using var engine = await LoadAsync(new(step => step == 5 ? Enum.Parse<Fault>(fault) : Fault.None), options => options with { MaxNumSeqs = 2 });
        var requests = Enumerable.Range(0, 40).Select(_ => Run(engine, 64)).ToArray();
        await AssertAllEndAsync(requests);
        Assert.All(requests, request => Assert.Equal(EngineErrorKind.EngineDead, (request.Exception?.InnerException as EngineException)?.Kind));
        await AssertDeadAsync(engine);
    }

    [Fact]
    public async Task A_hanging_step_is_given_up_and_no_caller_waits_for_it()
    {
        var faults = new FaultyExecutorFactory(step => step == 3 ? Fault.Hang : Fault.None);
        var engine = await LoadAsync(faults, options => options with { StepTimeout = TimeSpan.FromSeconds(5), MaxNumSeqs = 2 });
        var requests = Enumerable.Range(0, 8).Select(_ => Run(engine, 64)).ToArray();
        await faults.Hangs.WaitAsync(Patience, Token);
        var late = Run(engine, 4);
        await AssertAllEndAsync([.. requests, late]);
        Assert.All(requests, request => Assert.Equal(EngineErrorKind.EngineDead, (request.Exception?.InnerException as EngineException)?.Kind));
        await AssertDeadAsync(engine);
        Assert.Equal("", await engine.MapKvBlocksAsync(10).WaitAsync(Patience, Token));
        await engine.DisposeAsync().AsTask().WaitAsync(Patience, Token);
        faults.Release();
    }

    [Fact]
    public async Task Steps_that_are_quick_enough_are_never_given_up()
    {
        await using var engine = await LoadAsync(new(_ => Fault.None), options => options with { StepTimeout = TimeSpan.FromMinutes(5) });
        Assert.Equal(FinishReason.Length, (await ResultAsync(engine, 50)).Outputs[0].FinishReason);
        Assert.True(engine.IsAlive);
    }

    [Fact]
    public async Task Logits_that_are_no_numbers_end_their_sequences_alone()
    {
        await using var engine = await LoadAsync(new(step => step == 2 ? Fault.NaN : Fault.None));
        var failed = await Assert.ThrowsAsync<EngineException>(() => ResultAsync(engine, 8));
        Assert.Equal(EngineErrorKind.GenerationFailed, failed.Kind);
        Assert.StartsWith("non-finite logits", failed.Message, StringComparison.Ordinal);
        Assert.Equal(FinishReason.Length, (await ResultAsync(engine, 8)).Outputs[0].FinishReason);
    }

    [Fact]
    public async Task A_command_that_throws_ends_every_request()
    {
        var scope = new object();
        await using var engine = await LoadAsync(new(_ => Fault.None), options => options with { MeterScope = scope, MaxNumSeqs = 1 });
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, own) =>
        {
            if (ReferenceEquals(instrument.Meter.Scope, scope) && instrument.Name == "localllm.request.finished")
                own.EnableMeasurementEvents(instrument);
        };
        // Throws when an abort is measured, which happens while the loop reads its inbox.
        listener.SetMeasurementEventCallback<long>((_, _, tags, _) =>
        {
            if (tags.ToArray().Contains(new("finish_reason", "abort")))
                throw new InvalidOperationException("secret: a listener's fault");
        });
        listener.Start();
        using var leaves = new CancellationTokenSource();
        var first = engine.CompleteAsync(GenerationRequest.FromTokenIds([5], new() { MaxTokens = 1000, IgnoreEos = true }), leaves.Token);
        var requests = Enumerable.Range(0, 20).Select(_ => Run(engine, 1000)).ToArray();
        await leaves.CancelAsync();
        await AssertAllEndAsync([first, .. requests]);
        await AssertDeadAsync(engine);
    }

    private static Task<LlmEngine> LoadAsync(FaultyExecutorFactory faults, Func<EngineOptions, EngineOptions>? change = null)
    {
        var options = Options with { ExecutorFactory = faults };
        return LlmEngine.LoadAsync(change is null ? options : change(options), cancellationToken: Token);
    }

    private static Task<GenerationResult> Run(LlmEngine engine, int maxTokens)
    {
        try
        {
            return engine.CompleteAsync(GenerationRequest.FromTokenIds([5, 6, 7], new() { Temperature = 0, MaxTokens = maxTokens, IgnoreEos = true }), Token);
        }
        catch (EngineException refusal)
        {
            return Task.FromException<GenerationResult>(refusal);
        }
    }

    private static Task<GenerationResult> ResultAsync(LlmEngine engine, int maxTokens) => Run(engine, maxTokens).WaitAsync(Patience, Token);

    private static async Task AssertAllEndAsync(Task<GenerationResult>[] requests)
    {
        await Task.WhenAll(requests).ContinueWith(_ => { }, TaskScheduler.Default).WaitAsync(Patience, Token);
        foreach (var request in requests.Where(request => request.IsFaulted))
            Assert.DoesNotContain("secret", request.Exception!.InnerException!.Message, StringComparison.Ordinal);
    }

    private static async Task AssertDeadAsync(LlmEngine engine)
    {
        await engine.Completion.WaitAsync(Patience, Token);
        Assert.True(engine.HasFailed);
        var refused = await Assert.ThrowsAsync<EngineException>(() => engine.CompleteAsync(GenerationRequest.FromTokenIds([5]), Token));
        Assert.Equal(EngineErrorKind.EngineDead, refused.Kind);
        Assert.DoesNotContain("secret", refused.Message, StringComparison.Ordinal);
    }

    private sealed class ThrowingLoggers : ILoggerFactory, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            throw new ObjectDisposedException("secret: the logger");

        public void Dispose()
        {
        }
    }
}
