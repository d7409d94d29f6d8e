using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Tests.Engine;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// The number of threads, which changes no bit of a result, and the cores that threads run on. These tests run alone, because a number of
/// threads that one thread sets also applies to others.
/// </summary>
[Collection(nameof(RunsAlone))]
public sealed class CpuThreadTests : IDisposable
{
    private readonly CpuThreadSetting _setting = new(null);

    [Fact]
    public void Helpers_stay_on_their_cpus_and_the_caller_may_run_anywhere()
    {
        if (HostCores.Cpus is not [var first, var second, ..])
        {
            Assert.Skip("this process has one core");
            return;
        }

        var before = Allowed();
        // libtorch's team of threads belongs to the thread that asks for it, and ends with that thread.
        var (own, helper) = OnNewThread(() =>
        {
            set_num_threads(2);
            using var ops = new CpuOps(cpus: [first, second]);
            using var step = new AttentionMetadata();
            using var ids = ops.BeginStep([1], step);
            return (Allowed(), OfHelper());
        });
        Assert.Equal(before, own);
        Assert.Equal($"{second}", helper);
        Assert.Equal(before, OnNewThread(OfHelper));
    }

    [Fact]
    public void Any_number_of_threads_gives_the_same_product()
    {
        using var scope = NewDisposeScope();
        using var ops = new CpuOps(batchInvariant: true);
        using var weight = ops.PackLinear(randn(1000, 512).to(bfloat16), null, LinearRole.Other, LocalLlm.Weights.WeightPacking.Compact);
        var x = randn(40, 512).to(bfloat16);
        var wanted = Run(1);
        foreach (var threads in (int[])[2, 3, 5])
            Assert.True(wanted.AsSpan().SequenceEqual(Run(threads)), $"{threads} threads");

        byte[] Run(int threads) => OnNewThread(() =>
        {
            set_num_threads(threads);
            using var inner = NewDisposeScope();
            return ops.Linear(x, weight).bytes.ToArray();
        });
    }

    [Fact]
    public async Task The_number_of_threads_changes_no_bit()
    {
        var requests = BatchInvarianceTests.Requests(16);
        await using var one = await BatchInvarianceTests.LoadAsync(BatchInvarianceTests.Options with { NumThreads = 1 });
        var wanted = await BatchInvarianceTests.RunAsync(one, requests);
        await using var three = await BatchInvarianceTests.LoadAsync(BatchInvarianceTests.Options with { NumThreads = 3 });
        Assert.Equal(wanted, await BatchInvarianceTests.RunAsync(three, requests));
    }

    [Fact]
    public async Task An_engine_whose_threads_are_pinned_gives_the_same_ids()
    {
        var requests = TinyEngine.Requests(4, 8);
        await using var usual = await TinyEngine.LoadAsync(options => options with { Device = "cpu" });
        await using var pinned = await TinyEngine.LoadAsync(options => options with { Device = "cpu", PinThreads = true });
        Assert.Equal(await TinyEngine.RunAsync(usual, requests), await TinyEngine.RunAsync(pinned, requests));
    }

    [Fact]
    public async Task One_thread_that_is_to_be_pinned_is_a_warning()
    {
        using var logs = new CollectedLogs();
        await using var engine = await TinyEngine.LoadAsync(options => options with { Device = "cpu", PinThreads = true, NumThreads = 1, LoggerFactory = logs });
        Assert.Single(logs.Warnings, warning => warning.StartsWith("pin_threads is set, but a rank computes with one thread", StringComparison.Ordinal));
    }

    [Fact]
    public void Threads_that_do_not_compute_are_not_pinned()
    {
        var refusal = Assert.Throws<EngineException>(() => EngineOptionsValidator.ValidateEncoder(new() { ModelPath = TestPaths.TinyM3, PinThreads = true }));
        Assert.Equal("pin_threads", refusal.Parameter);
    }

    public void Dispose() => _setting.Dispose();

    // The cores that the second thread of a loop may run on.
    private static string OfHelper()
    {
        set_num_threads(2);
        var allowed = new string[2];
        using var both = new Barrier(2);
        CpuParallel.For(2, index =>
        {
            both.SignalAndWait(); // so that no thread takes both iterations
            allowed[index] = Allowed();
        });
        return allowed[1];
    }

    private static string Allowed() =>
        File.ReadLines("/proc/thread-self/status").First(line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)).Split('\t')[1];

    private static T OnNewThread<T>(Func<T> call) =>
        Task.Factory.StartNew(call, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).GetAwaiter().GetResult();
}
