using System.Text;
using LocalLlm.Execution;
using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Tests.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// The architecture that kernels are compiled for, and what follows from an old card: float16 in place of bfloat16. These tests run alone,
/// because device kinds and environment variables belong to the whole process.
/// </summary>
[Collection(nameof(RunsAlone))]
public sealed class CudaArchitectureTests
{
    private const string Old = "old";

    public CudaArchitectureTests() => TorchLibrary.EnsureLoaded();

    [Theory]
    [InlineData(null, 90, 90)]
    [InlineData(75, 75, 75)]
    [InlineData(75, 90, 75)]
    [InlineData(86, 90, 86)]
    [InlineData(90, 90, 90)]
    public void Kernels_are_compiled_for_the_card_or_for_an_older_one(int? asked, int own, int wanted) =>
        Assert.Equal(wanted, CudaArchitecture.Of(asked, own, "a card"));

    [Theory]
    [InlineData(80, 75, "a card has compute capability 7.5 and runs nothing newer")]
    [InlineData(90, 100, "whose kernels run on that card alone")]
    public void What_the_card_does_not_run_is_refused_by_name(int asked, int own, string message)
    {
        var refusal = Assert.Throws<EngineException>(() => CudaArchitecture.Of(asked, own, "a card"));
        Assert.Equal((EngineErrorKind.InvalidOptions, CudaArchitecture.Option), (refusal.Kind, refusal.Parameter));
        Assert.Contains(message, refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(70)]
    [InlineData(7)]
    [InlineData(95)]
    public void An_unknown_architecture_is_refused_without_a_card(int asked)
    {
        var refusal = Assert.Throws<EngineException>(() => EngineOptionsValidator.Validate(new() { ModelPath = TestPaths.TinyR1, CudaArch = asked }));
        Assert.Equal(CudaArchitecture.Option, refusal.Parameter);
        Assert.Contains($"is {asked}; allowed: 75 (Turing)", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_architecture_has_no_meaning_where_no_GPU_computes()
    {
        var refusal = Assert.Throws<EngineException>(
            () => new ModelLoader(new() { ModelPath = TestPaths.TinyR1, Device = "cpu", SkipTokenizerInit = true, CudaArch = 75 }).Dispose());
        Assert.Equal(CudaArchitecture.Option, refusal.Parameter);
    }

    [Fact]
    public void Memory_of_GPUs_has_no_meaning_where_no_GPU_computes()
    {
        var refusal = Assert.Throws<EngineException>(
            () => new ModelLoader(new() { ModelPath = TestPaths.TinyR1, Device = "cpu", SkipTokenizerInit = true, GpuMemoryBytes = 1 << 30 }).Dispose());
        Assert.Equal("gpu_memory", refusal.Parameter);
    }

    [Fact]
    public void The_environment_says_what_the_option_does_not()
    {
        var before = Environment.GetEnvironmentVariable(CudaArchitecture.EnvironmentVariable);
        try
        {
            Environment.SetEnvironmentVariable(CudaArchitecture.EnvironmentVariable, "75");
            Assert.Equal(75, CudaArchitecture.Asked(null));
            Assert.Equal(80, CudaArchitecture.Asked(80));
            Environment.SetEnvironmentVariable(CudaArchitecture.EnvironmentVariable, "7.5");
            Assert.Contains("is '7.5'; allowed: 75", Assert.Throws<EngineException>(() => CudaArchitecture.Asked(null)).Message, StringComparison.Ordinal);
        }
        finally
        {
            Environment.SetEnvironmentVariable(CudaArchitecture.EnvironmentVariable, before);
        }
    }

    [Fact]
    public void A_checkpoint_in_bfloat16_is_computed_in_float16_where_the_device_has_no_other_and_the_log_says_so()
    {
        using var registration = RegisterOld();
        using var logs = new CollectedLogs();
        using var loader = new ModelLoader(new() { ModelPath = TestPaths.TinyR1, Device = Old, SkipTokenizerInit = true, LoggerFactory = logs });
        Assert.Equal(ScalarType.Float16, loader.ComputeType);
        Assert.Contains(logs.Warnings, text => text.Contains("does not compute in the checkpoint's bfloat16", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("float16")]
    [InlineData("float32")]
    public void A_type_that_was_named_stays(string dtype)
    {
        using var registration = RegisterOld();
        using var logs = new CollectedLogs();
        using var loader = new ModelLoader(new() { ModelPath = TestPaths.TinyR1, Device = Old, SkipTokenizerInit = true, LoggerFactory = logs, Dtype = dtype });
        Assert.Equal(dtype == "float16" ? ScalarType.Float16 : ScalarType.Float32, loader.ComputeType);
        Assert.Empty(logs.Warnings);
    }

    [Fact]
    public void Bfloat16_that_was_named_is_refused_before_weights_are_read()
    {
        using var registration = RegisterOld();
        var refusal = Assert.Throws<EngineException>(
            () => new ModelLoader(new() { ModelPath = TestPaths.TinyR1, Device = Old, SkipTokenizerInit = true, Dtype = "bfloat16" }).Dispose());
        Assert.Equal((EngineErrorKind.InvalidOptions, "dtype"), (refusal.Kind, refusal.Parameter));
        Assert.Contains("allowed for it: auto, float16, float32", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Kernels_for_a_newer_card_to_run_are_PTX_of_the_older_one()
    {
        if (!Nvrtc.TryLoad(null))
            Assert.Skip("no NVRTC");
        const string source = SkinnyProduct.Source;
        var defines = SkinnyTiling.Of(8, 512, 512, 1, fp8: false, 40).Defines(ScalarType.Float16, fp8: false, gated: false, add: false, TokenPermutation.None);
        var options = KernelCompiler.OptionsOf(source, CudaDevice.Turing, defines, portable: true);
        var text = Encoding.ASCII.GetString(Nvrtc.Compile(KernelCompiler.TextOf(source), source, options, portable: true));
        Assert.Contains(".target sm_75", text, StringComparison.Ordinal);
        Assert.Contains("mma.sync.aligned.m16n8k8", text, StringComparison.Ordinal);
        Assert.Equal('\0', text[^1]);
    }

    private static IDisposable RegisterOld() =>
        DeviceRegistry.Register(new(Old, (_, _) => new TorchOps(new(DeviceType.CPU), DeviceFeatures.None with { LacksBFloat16 = true })));
}
