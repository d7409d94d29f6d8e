using System.Collections.Concurrent;
using System.Text.Json;
using LocalLlm.Execution;
using LocalLlm.Execution.Cluster;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Parallel;
using LocalLlm.Planning;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Models;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// The loader acts on the features that a device reports, never on which device it is. Devices are registered for the whole process, so no
/// other test may run at the same time.
/// </summary>
[Collection(nameof(RunsAlone))]
public sealed class ModelLoaderTests
{
    private const string Name = "measured";
    private const long Available = 1L << 30;
    private const long Used = 300L << 20;
    private const int StepTokens = 64;
    private static string Folder => TestPaths.Shared("goldens", "random", "qwen3");

    private static EngineOptions Options =>
        new() { ModelPath = Folder, Device = Name, Dtype = "float32", SkipTokenizerInit = true, MaxNumBatchedTokens = StepTokens };

    [Fact]
    public void A_device_with_memory_of_its_own_is_measured_by_its_largest_step_though_it_records_nothing()
    {
        MeasuredCpu? device = null;
        using var registration = DeviceRegistry.Register(new(Name, (_, _) => device = new MeasuredCpu(Available) { UsedBytes = Used }));
        using var loader = new ModelLoader(Options);
        Assert.Equal(0, device!.Steps);
        using var worker = loader.Load(null, null, TestContext.Current.CancellationToken);
        Assert.Equal(StepTokens, device.LargestStep);
        Assert.All(device.Reserved, layer => Assert.Equal(KvLayout.Device, layer.Layout));
        Assert.NotEmpty(device.Reserved);
        // The plan accounts for all used memory, including what the weights do not explain.
        Assert.Equal(Used, loader.Plan.WeightBytes + loader.Plan.ActivationBytes);
        Assert.Equal(0, loader.Plan.GraphBytes);
        Assert.Equal(Available / 2, loader.Plan.BudgetBytes);
    }

    [Fact]
    public void Memory_is_measured_by_prompts_by_single_tokens_and_by_both_in_one_step()
    {
        MeasuredCpu? device = null;
        using var registration = DeviceRegistry.Register(new(Name, (_, _) => device = new MeasuredCpu(Available)));
        using var loader = new ModelLoader(Options with { MaxNumSeqs = 20 });
        using var worker = loader.Load(null, null, TestContext.Current.CancellationToken);
        var single = Enumerable.Repeat(1, 20);
        Assert.Equal([[4], [3], [2], [1], [StepTokens], [.. single], [.. single, 22, 22]], device!.Shapes);
        Assert.True(device.IsSettled);
    }

    [Fact]
    public async Task What_grows_after_loading_is_a_warning()
    {
        SuiteExecutor.SkipInAnotherProcess();
        MeasuredCpu? device = null;
        using var registration = DeviceRegistry.Register(new(Name, (_, _) => device = new MeasuredCpu(Available)));
        var logs = new CollectedLogs();
        await using var engine = await SuiteExecutor.LoadAsync(Options with { LoggerFactory = logs }, cancellationToken: TestContext.Current.CancellationToken);
        foreach (var grown in (string?[])[null, "Absorbed, Mixed", null])
        {
            device!.Growth = grown;
            await engine.CompleteAsync(GenerationRequest.FromTokenIds([1, 2, 3], new() { MaxTokens = 2 }), TestContext.Current.CancellationToken);
        }

        Assert.Contains("grew after loading (Absorbed, Mixed)", Assert.Single(logs.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Data_parallel_groups_run_the_largest_step_together_before_they_measure()
    {
        SuiteExecutor.SkipInAnotherProcess();
        var devices = new ConcurrentBag<MeasuredCpu>();
        using var registration = DeviceRegistry.Register(new(Name, (_, _) =>
        {
            var device = new MeasuredCpu(Available) { UsedBytes = Used };
            devices.Add(device);
            return device;
        }));
        var folder = TestPaths.Shared("goldens", "random", "deepseek-v3-yarn");
        var golden = new GoldenFile(folder).Cases.First(one => one.MinMargin > 1e-4);
        await using var engine = await LlmEngine.LoadAsync(
            Options with { ModelPath = folder, DataParallel = 2, ExecutorFactory = new DeviceExecutorFactory() }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal([StepTokens, StepTokens], devices.Select(device => device.LargestStep));
        var sampling = new SamplingParams { Temperature = 0, MaxTokens = golden.Greedy.Length, IgnoreEos = true };
        var result = await engine.CompleteAsync(GenerationRequest.FromTokenIds(golden.Ids, sampling), TestContext.Current.CancellationToken);
        Assert.Equal(golden.Greedy, result.Outputs[0].TokenIds);
    }

    [Fact]
    public async Task A_device_that_only_measures_generates_what_the_reference_does()
    {
        SuiteExecutor.SkipInAnotherProcess();
        using var registration = DeviceRegistry.Register(new(Name, (_, _) => new MeasuredCpu(Available)));
        var golden = new GoldenFile(Folder).Cases.First(one => one.MinMargin > 1e-4);
        await using var engine = await SuiteExecutor.LoadAsync(Options, cancellationToken: TestContext.Current.CancellationToken);
        var sampling = new SamplingParams { Temperature = 0, MaxTokens = golden.Greedy.Length, IgnoreEos = true };
        var result = await engine.CompleteAsync(GenerationRequest.FromTokenIds(golden.Ids, sampling), TestContext.Current.CancellationToken);
        Assert.Equal(golden.Greedy, result.Outputs[0].TokenIds);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(0)]
    public void Steps_are_recorded_up_to_the_rows_that_every_product_can_be_recorded_for(int rows)
    {
        using var folder = new Fp8Folder(Folder);
        foreach (var (path, wanted) in ((string, int)[])[(folder.Path, rows), (Folder, 20)])
        {
            var capture = new CountingCapture { MaxFp8Rows = rows };
            using var registration = DeviceRegistry.Register(new(Name, (_, _) => new MeasuredCpu(Available) { Capture = capture }));
            // Nothing is recorded: either the options forbid it, or the options allow it and the products do not.
            using var loader = new ModelLoader(Options with { ModelPath = path, MaxNumSeqs = 20, EnforceEager = wanted > 0 });
            using var worker = loader.Load(null, null, TestContext.Current.CancellationToken);
            Assert.Equal(wanted, loader.Plan.MaxRecordedRows);
            Assert.Equal(0, loader.Plan.GraphBytes);
            Assert.Empty(capture.Sizes);
        }
    }

    [Theory]
    [InlineData(3, 2, 1, "Of 6 on this rank, 3 are multiplied by activations that become 8-bit floats too")]
    [InlineData(0, 6, 0, "kernels widen them when they multiply")]
    [InlineData(0, 0, 4, "4 by plain operations before each product")]
    public void The_log_says_how_matrices_of_8_bit_floats_are_multiplied(int quantised, int inKernels, int whole, string text)
    {
        using var folder = new Fp8Folder(Folder);
        var products = new ChosenProducts(new(quantised, inKernels, whole, "our own kernels, as nothing else is right"));
        using var registration = DeviceRegistry.Register(new(Name, (_, _) => new MeasuredCpu(Available) { Fp8 = products }));
        var logs = new CollectedLogs();
        using var loader = new ModelLoader(Options with { ModelPath = folder.Path, LoggerFactory = logs });
        using var worker = loader.Load(null, null, TestContext.Current.CancellationToken);
        Assert.Single(logs.Notices, notice => notice.Contains(text, StringComparison.Ordinal));
        Assert.Single(logs.Notices, notice => notice == "Products of many rows by 8-bit floats: our own kernels, as nothing else is right.");
        Assert.True(products.WasPreparedFirst);
    }

    [Fact]
    public async Task Ranks_record_steps_up_to_the_rows_of_the_rank_with_the_fewest()
    {
        var plan = LlmEngine.PlanMemory(new() { ModelPath = Folder, Device = "cpu", SkipTokenizerInit = true });
        var agreement = new ThreadAgreement(2);
        var rows = await Task.WhenAll(((int[])[128, 5]).Select(own => Task.Run(
            () => agreement.Agree(plan with { MaxRecordedRows = own }).MaxRecordedRows, TestContext.Current.CancellationToken)));
        Assert.Equal([5, 5], rows);
        // Other nodes get the plan as JSON.
        var json = JsonSerializer.Serialize(plan with { MaxRecordedRows = 5 }, NodeJsonContext.Default.MemoryPlan);
        Assert.Equal(5, JsonSerializer.Deserialize(json, NodeJsonContext.Default.MemoryPlan)!.MaxRecordedRows);
    }

    [Theory]
    [InlineData("bfloat16")]
    [InlineData("float32")]
    public void Second_copies_are_planned_where_the_device_gains_from_them(string dtype)
    {
        var copies = dtype == "bfloat16" && CpuOps.KeepsDecodeCopies ? 2 : 1;
        var options = new EngineOptions { ModelPath = Folder, Device = "cpu", Dtype = dtype, SkipTokenizerInit = true };
        var ample = LlmEngine.PlanMemory(options);
        // Two copies would take more than half of this budget.
        var tight = LlmEngine.PlanMemory(options with { GpuMemoryUtilization = 1e-6, KvCacheMemoryBytes = 1 << 20 });
        Assert.Equal(copies, ample.WeightBytes / (double)tight.WeightBytes);
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 2)]
    public void A_tied_head_counts_once_where_the_device_shares_what_was_loaded(bool shares, int matrices)
    {
        using var registration = DeviceRegistry.Register(new(Name, (_, _) => new MeasuredCpu(Available) { SharesLoaded = shares }));
        var options = new EngineOptions { ModelPath = TestPaths.TinyR1, Device = Name, Dtype = "float32" };
        var shape = ModelShapeReader.Load(TestPaths.TinyR1);
        Assert.True(shape.IsTied);
        var others = (new ModelParts(shape).Parameters - ((long)shape.VocabSize * shape.HiddenSize)) * sizeof(float);
        Assert.Equal(others + (matrices * (long)shape.VocabSize * shape.HiddenSize * sizeof(float)), LlmEngine.PlanMemory(options).WeightBytes);
    }

    [Fact]
    public async Task A_device_without_kernels_for_8_bit_floats_generates_the_same_and_says_that_it_is_slow()
    {
        SuiteExecutor.SkipInAnotherProcess();
        using var registration = DeviceRegistry.Register(new(Name, (_, _) => new TorchOps(CPU)));
        using var folder = new Fp8Folder(Folder, 32, 32);
        using var logs = new CollectedLogs();
        var options = Options with { ModelPath = folder.Path, LoggerFactory = logs };
        var request = GenerationRequest.FromTokenIds(new GoldenFile(Folder).Cases.First().Ids, new SamplingParams { Temperature = 0, MaxTokens = 8, IgnoreEos = true });
        await using var wanted = await SuiteExecutor.LoadAsync(options with { Device = "cpu" }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.DoesNotContain(logs.Warnings, warning => warning.Contains("8-bit", StringComparison.Ordinal));
        await using var engine = await SuiteExecutor.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Single(logs.Warnings, warning => warning.Contains("each block of 32 x 32, but there are no kernels for them on measured", StringComparison.Ordinal));
        var (expected, result) = (await wanted.CompleteAsync(request, TestContext.Current.CancellationToken), await engine.CompleteAsync(request, TestContext.Current.CancellationToken));
        Assert.Equal(expected.Outputs[0].TokenIds, result.Outputs[0].TokenIds);
    }

    /// <summary>The CPU's products. Their choice must come after the last matrix is packed and before the first product.</summary>
    private sealed class ChosenProducts(Fp8Products chosen) : IFp8Ops
    {
        private readonly TorchFp8Ops _plain = new(CPU);
        private bool _isPrepared;
        private bool _isMultiplied;

        public bool WasPreparedFirst { get; private set; }

        public Fp8Products? Prepare(ScalarType type)
        {
            (_isPrepared, WasPreparedFirst) = (true, !_isMultiplied);
            return chosen;
        }

        public Fp8Weight Pack(Tensor bytes, Tensor scales, Fp8Grid grid, Tensor? bias, LinearRole role)
        {
            Assert.False(_isPrepared);
            return _plain.Pack(bytes, scales, grid, bias, role);
        }

        public Tensor Linear(Tensor x, Fp8Weight weight)
        {
            _isMultiplied = true;
            return _plain.Linear(x, weight);
        }
    }
}
