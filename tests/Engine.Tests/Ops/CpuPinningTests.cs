using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Threads that help stay on their CPUs; the one that submits the work is left alone, and so is everybody else.</summary>
public sealed class CpuPinningTests
{
    [Fact]
    public void Helpers_stay_on_their_cpus_and_the_caller_may_run_anywhere()
    {
        TorchLibrary.EnsureLoaded();
        if (HostCores.Cpus is not [var first, var second, ..])
        {
            Assert.Skip("this process has one core");
            return;
        }

        using var setting = new CpuThreadSetting(null);
        var before = Allowed();
        // The team of libtorch's threads belongs to the thread that asks for it, and ends with it.
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
    public async Task An_engine_whose_threads_are_pinned_gives_the_same_ids()
    {
        var requests = TinyEngineRequests();
        await using var usual = await Engine.TinyEngine.LoadAsync(options => options with { Device = "cpu" });
        await using var pinned = await Engine.TinyEngine.LoadAsync(options => options with { Device = "cpu", PinThreads = true });
        Assert.Equal(await Engine.TinyEngine.RunAsync(usual, requests), await Engine.TinyEngine.RunAsync(pinned, requests));
    }

    [Fact]
    public void Threads_that_do_not_compute_are_not_pinned()
    {
        var refusal = Assert.Throws<EngineException>(() => EngineOptionsValidator.ValidateEncoder(new() { ModelPath = TestPaths.TinyM3, PinThreads = true }));
        Assert.Equal("pin_threads", refusal.Parameter);
    }

    private static GenerationRequest[] TinyEngineRequests() => Engine.TinyEngine.Requests(4, 8);

    // Where the second thread of a loop may run.
    private static string OfHelper()
    {
        set_num_threads(2);
        var allowed = new string[2];
        using var both = new Barrier(2);
        CpuParallel.For(2, index =>
        {
            both.SignalAndWait(); // so that no thread takes both
            allowed[index] = Allowed();
        });
        return allowed[1];
    }

    private static string Allowed() =>
        File.ReadLines("/proc/thread-self/status").First(line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)).Split('\t')[1];

    private static T OnNewThread<T>(Func<T> call) =>
        Task.Factory.StartNew(call, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).GetAwaiter().GetResult();
}
