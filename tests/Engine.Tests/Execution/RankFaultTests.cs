using LocalLlm.Execution;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Ops;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Execution;

/// <summary>A rank that fails or hangs ends the engine: every caller gets an error, and no other rank waits forever.</summary>
public sealed class RankFaultTests : IDisposable
{
    private const string Name = "faulty-rank";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);
    private static readonly GenerationRequest Long = GenerationRequest.FromTokenIds([5, 6, 7], new() { Temperature = 0, MaxTokens = 2_000, IgnoreEos = true });

    private readonly TaskCompletionSource _released = new();
    private readonly IDisposable _registration;
    private volatile int _faultyRank = -1;
    private volatile bool _hangs;

    public RankFaultTests() => _registration = DeviceRegistry.Register(
        new(Name, (ordinal, _) => new FaultyOps(new CpuOps(), () => BeforeAttention(ordinal))) { HasOrdinals = true });

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, int> Ranks => new()
    {
        { "tp2", 0 }, { "tp2", 1 }, { "tp4", 3 }, { "pp3", 0 }, { "pp3", 1 }, { "pp3", 2 }, { "tp2pp2", 1 }, { "tp2pp2", 2 },
        { "dp2", 0 }, { "dp2", 1 }, { "tp2dp2", 3 }, { "pp2dp2", 2 },
    };

    [Theory]
    [MemberData(nameof(Ranks))]
    public async Task A_rank_that_fails_ends_every_request(string layout, int rank)
    {
        await using var engine = await LoadAsync(layout, null);
        var running = Enumerable.Range(0, 4).Select(_ => engine.CompleteAsync(Long, Token)).ToArray();
        await engine.CompleteAsync(GenerationRequest.FromTokenIds([8], new() { MaxTokens = 2 }), Token);
        _faultyRank = rank;
        foreach (var request in running)
        {
            var failure = await Assert.ThrowsAsync<EngineException>(() => request.WaitAsync(Patience, Token));
            Assert.Equal(EngineErrorKind.EngineDead, failure.Kind);
            Assert.Contains("secret", failure.InnerException!.ToString(), StringComparison.Ordinal);
            Assert.DoesNotContain("secret", failure.Message, StringComparison.Ordinal);
        }

        await engine.Completion.WaitAsync(Patience, Token);
        Assert.True(engine.HasFailed);
    }

    [Theory]
    [InlineData("tp2", 0)]
    [InlineData("tp2", 1)]
    [InlineData("pp2", 0)]
    [InlineData("pp2", 1)]
    public async Task A_rank_that_hangs_ends_the_engine_at_the_deadline_of_the_step(string layout, int rank)
    {
        await using var engine = await LoadAsync(layout, TimeSpan.FromSeconds(5));
        var running = engine.CompleteAsync(Long, Token);
        await engine.CompleteAsync(GenerationRequest.FromTokenIds([8], new() { MaxTokens = 2 }), Token);
        _hangs = true;
        _faultyRank = rank;
        var failure = await Assert.ThrowsAsync<EngineException>(() => running.WaitAsync(Patience, Token));
        Assert.Equal(EngineErrorKind.EngineDead, failure.Kind);
        await engine.Completion.WaitAsync(Patience, Token);
        Assert.True(engine.HasFailed);
    }

    [Fact]
    public async Task A_rank_that_fails_while_it_is_loaded_fails_the_load_with_its_own_reason_and_frees_the_others()
    {
        var open = 0;
        using var broken = DeviceRegistry.Register(new("broken-rank", (ordinal, _) =>
            ordinal == 1 ? throw new EngineException(EngineErrorKind.Environment, "card 1 is not there") : Counted()) { HasOrdinals = true });
        var failure = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(Options("tp4") with { Device = "broken-rank" }, cancellationToken: Token));
        Assert.Equal("card 1 is not there", failure.Message);
        Assert.Equal(0, open);

        IDeviceOps Counted()
        {
            Interlocked.Increment(ref open);
            return new CountedOps(() => Interlocked.Decrement(ref open));
        }
    }

    [Fact]
    public async Task A_cancelled_load_ends_all_ranks()
    {
        using var cancellation = new CancellationTokenSource();
        var progress = new CancelAtWeights(cancellation);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => LlmEngine.LoadAsync(Options("tp2pp2") with { Device = "cpu" }, progress, cancellation.Token));
    }

    [Fact]
    public async Task Loading_ranks_leaves_the_number_of_threads_of_others_alone()
    {
        TorchLibrary.EnsureLoaded();
        var before = await OnNewThread(get_num_threads);
        await using (var engine = await LlmEngine.LoadAsync(Options("tp2") with { Device = "cpu", NumThreads = 2 }, cancellationToken: Token))
            await engine.CompleteAsync(GenerationRequest.FromTokenIds([8], new() { MaxTokens = 2 }), Token);
        Assert.Equal(before, await OnNewThread(get_num_threads));
    }

    private static Task<int> OnNewThread(Func<int> call) =>
        Task.Factory.StartNew(call, Token, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    public void Dispose()
    {
        _released.TrySetResult();
        _registration.Dispose();
    }

    private static EngineOptions Options(string layout) =>
        RankLayout.Find(layout)!.Of(TinyEngine.Options with { ModelPath = layout.Contains("dp", StringComparison.Ordinal) ? TestPaths.Shared("models", "tiny-v3") : TestPaths.TinyR1 }) with { ExecutorFactory = new DeviceExecutorFactory(), MaxNumSeqs = 8, NumGpuBlocksOverride = 1_000 };

    private static Task<LlmEngine> LoadAsync(string layout, TimeSpan? stepTimeout) =>
        LlmEngine.LoadAsync(Options(layout) with { Device = Name, StepTimeout = stepTimeout }, cancellationToken: Token);

    private void BeforeAttention(int ordinal)
    {
        if (ordinal != _faultyRank)
            return;
        if (!_hangs)
            throw new InvalidOperationException("secret: the card fell off the bus");
        _released.Task.Wait();
    }

    private sealed class CountedOps(Action disposed) : PrimitiveOps(new CpuOps()), IDisposable
    {
        void IDisposable.Dispose()
        {
            disposed();
            Dispose();
        }
    }

    private sealed class CancelAtWeights(CancellationTokenSource cancellation) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value)
        {
            if (value.Phase == "reading weights")
                cancellation.Cancel();
        }
    }

    private sealed class FaultyOps(IDeviceOps inner, Action before) : PrimitiveOps(inner)
    {
        public override Tensor Attention(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
        {
            before();
            return base.Attention(qkv, cache, metadata, shape);
        }

        // An expert computes this.
        public override Tensor SiluAndMul(Tensor gateUp)
        {
            before();
            return base.SiluAndMul(gateUp);
        }
    }
}
