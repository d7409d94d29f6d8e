using LocalLlm.Execution;
using LocalLlm.Execution.Cluster;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Tests.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Which devices ranks in processes of their own get. The front end opens none of them. Kinds of devices are registered for the whole
/// process, so no other test may run at the same time.
/// </summary>
[Collection(nameof(RunsAlone))]
public sealed class ProcessDevicesTests
{
    private const string Name = "planned";

    private static EngineOptions Options => new() { ModelPath = TestPaths.TinyR1, DistributedExecutorBackend = "processes", SkipTokenizerInit = true };

    [Theory]
    [InlineData("cuda", null, 2, 2, "cuda:0,cuda:1,cuda:2,cuda:3")]
    [InlineData("auto", "cuda:3,cuda:1", 2, 1, "cuda:3,cuda:1")]
    [InlineData("cpu", null, 1, 3, "cpu,cpu,cpu")]
    public void Every_rank_has_the_device_of_its_number(string device, string? listed, int tensor, int stages, string wanted)
    {
        var options = Options with { Device = device, Devices = listed?.Split(','), TensorParallel = tensor, PipelineParallel = stages };
        var devices = ProcessDevices.Of(options);
        Assert.Equal(wanted.Split(','), devices);
        Assert.Equal(wanted[0] == 'c' && wanted[1] == 'u', ProcessDevices.AreGpus(devices));
        Assert.Null(ProcessDevices.FaultOf(options));
        Assert.Null(ProcessDevices.FaultOf(options, devices));
    }

    [Theory]
    [InlineData("cuda:1", null, "is processes, so that each rank needs a GPU of its own, but cuda:1 would have 2 of them")]
    [InlineData("auto", "cuda,cuda:0", "is processes, so that each rank needs a GPU of its own, but cuda:0 would have 2 of them")]
    [InlineData(Name, null, "is processes, a process for each rank, which this build has on CPUs and NVIDIA GPUs only, but the device is planned")]
    public void Devices_without_such_ranks_are_refused_by_name(string device, string? listed, string says)
    {
        using var registration = DeviceRegistry.Register(new(Name, (_, _) => new MeasuredCpu(1)));
        var options = Options with { Device = device, Devices = listed?.Split(','), TensorParallel = 2 };
        Assert.StartsWith(says, ProcessDevices.FaultOf(options), StringComparison.Ordinal);
        Assert.Null(ProcessDevices.FaultOf(options with { DistributedExecutorBackend = "threads" }));
    }

    [Fact]
    public void Processes_on_GPUs_are_not_started_by_mpirun()
    {
        const string rank = "OMPI_COMM_WORLD_RANK", size = "OMPI_COMM_WORLD_SIZE";
        try
        {
            Environment.SetEnvironmentVariable(rank, "0");
            Environment.SetEnvironmentVariable(size, "2");
            var options = Options with { Device = "cuda", TensorParallel = 2 };
            Assert.StartsWith("is processes under mpirun, which this build has on CPUs only", ProcessDevices.FaultOf(options), StringComparison.Ordinal);
            Assert.Null(ProcessDevices.FaultOf(options with { Device = "cpu" }));
        }
        finally
        {
            Environment.SetEnvironmentVariable(rank, null);
            Environment.SetEnvironmentVariable(size, null);
        }
    }

    // Works for a GPU that this host does not have: planning does not touch the device.
    [Fact]
    public void A_device_that_another_process_computes_on_is_planned_with_and_not_opened()
    {
        const long memory = 1L << 40;
        var planned = new PlannedDevice(new TorchOps(new(DeviceType.CUDA, 0), DeviceFeatures.None with { SharesLoaded = true }), new(memory, 0, 0.5));
        using var registration = DeviceRegistry.Register(
            new(Name, (_, _) => throw new InvalidOperationException("it was opened")) { HasOrdinals = true, Plan = (_, _) => planned });
        var rank = new RankContext(new(2, 1, 2), 0, $"{Name}:0", new PlannedCollectives(0, 2)) { IsPlanned = true };
        using var loader = new ModelLoader(Options with { Device = Name, TensorParallel = 2, Dtype = "bfloat16" }, rank);
        loader.CheckWeights();
        Assert.Equal(ScalarType.BFloat16, loader.ComputeType);
        Assert.Equal(memory / 2, loader.Plan.BudgetBytes);
        var refusal = Assert.Throws<EngineException>(() => new ModelLoader(
            Options with { Device = Name, TensorParallel = 2, BatchInvariant = true }, rank with { Tensor = new PlannedCollectives(0, 2) }));
        Assert.Equal("batch_invariant", refusal.Parameter);
    }
}
