using BenchmarkDotNet.Attributes;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>Our CPU matrix products compared with libtorch's <c>linear</c>, at the gate-and-up shape of a 0.5 B model.</summary>
public class LinearBenchmarks : IDisposable
{
    private const int InFeatures = 896;
    private const int OutFeatures = 9728;
    private CpuOps _ops = null!;
    private LinearWeight _packed = null!;
    private Tensor _weight = null!;
    private Tensor _x = null!;

    [Params(1, 16, 512)]
    public int Rows { get; set; }

    [Params("float32", "bfloat16")]
    public string Type { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        TorchLibrary.EnsureLoaded();
        var type = Type == "float32" ? ScalarType.Float32 : ScalarType.BFloat16;
        _ops = new();
        _weight = randn(OutFeatures, InFeatures).to(type);
        _x = randn(Rows, InFeatures).to(type);
        _packed = _ops.PackLinear(_weight, null, LinearRole.Other, WeightPacking.Compact);
    }

    [Benchmark(Baseline = true)]
    public void Libtorch()
    {
        using var noGradients = inference_mode();
        nn.functional.linear(_x, _weight).Dispose();
    }

    [Benchmark]
    public void Ours()
    {
        using var noGradients = inference_mode();
        _ops.Linear(_x, _packed).Dispose();
    }

    [GlobalCleanup]
    public void Dispose()
    {
        GC.SuppressFinalize(this);
        _packed.Dispose();
        _weight.Dispose();
        _x.Dispose();
        _ops.Dispose();
    }
}
