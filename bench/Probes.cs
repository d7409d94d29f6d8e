using System.Diagnostics;
using System.Runtime.Intrinsics;
using LocalLlm.Interop;
using LocalLlm.Ops.Cpu;
using TorchSharp;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>The machine's own limits, measured in the same run as the figures that are compared with them.</summary>
internal static unsafe class Probes
{
    private const long ReadBytes = 1L << 30;

    /// <summary>Bytes per second that all threads together read from memory while they sum float32 values.</summary>
    public static double ReadBandwidth()
    {
        using var memory = ones([ReadBytes / sizeof(float)], ScalarType.Float32);
        var sum = stackalloc float[64];
        var kernel = new ReadKernel { Source = (float*)memory.DataPointer(), Sums = sum };
        const int itemFloats = ReadKernel.ItemFloats;
        CpuParallel.For(kernel, ReadBytes / sizeof(float) / itemFloats, 1);
        var start = Stopwatch.GetTimestamp();
        const int passes = 3;
        for (var i = 0; i < passes; i++)
            CpuParallel.For(kernel, ReadBytes / sizeof(float) / itemFloats, 1);
        return passes * ReadBytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Operations per second of libtorch's bfloat16 <c>linear</c> at a prefill's shape.</summary>
    /// <param name="rows">Tokens.</param>
    /// <param name="inFeatures">Input width.</param>
    /// <param name="outFeatures">Output width.</param>
    public static double LinearRate(int rows, int inFeatures, int outFeatures)
    {
        using var scope = NewDisposeScope();
        using var noGradients = inference_mode();
        var x = randn(rows, inFeatures).to(bfloat16);
        var weight = randn(outFeatures, inFeatures).to(bfloat16);
        nn.functional.linear(x, weight).Dispose();
        const int passes = 8;
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < passes; i++)
            nn.functional.linear(x, weight).Dispose();
        return passes * 2.0 * rows * inFeatures * outFeatures / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Operations per second of libtorch's <c>linear</c> with biases, one product after the other.</summary>
    /// <param name="rows">Tokens.</param>
    /// <param name="products">Input and output widths.</param>
    /// <param name="type">Type of all operands.</param>
    /// <param name="device">The device.</param>
    public static double ProductsRate(int rows, IReadOnlyList<(int In, int Out)> products, ScalarType type, Device device)
    {
        using var scope = NewDisposeScope();
        using var noGradients = inference_mode();
        var operands = products.Select(product => (X: randn(rows, product.In, type, device), Weight: randn(product.Out, product.In, type, device), Bias: randn(product.Out, type, device))).ToArray();
        var passes = device.type == DeviceType.CUDA ? 20 : 2;
        Pass();
        Synchronize();
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < passes; i++)
            Pass();
        Synchronize();
        return passes * products.Sum(product => 2.0 * rows * product.In * product.Out) / Stopwatch.GetElapsedTime(start).TotalSeconds;

        void Pass()
        {
            foreach (var (x, weight, bias) in operands)
                nn.functional.linear(x, weight, bias).Dispose();
        }

        void Synchronize()
        {
            if (device.type == DeviceType.CUDA)
                cuda.synchronize();
        }
    }

    /// <summary>
    /// Runs a probe on a thread of its own. libgomp gives every calling thread its own team, and all teams sleep sooner once they outnumber
    /// the cores. So a probe's team must be gone before the engine is measured.
    /// </summary>
    public static double OnOwnThread(Func<double> probe)
    {
        var result = 0.0;
        var thread = new Thread(() => result = probe());
        thread.Start();
        thread.Join();
        return result;
    }

    private struct ReadKernel : IRangeKernel
    {
        public const int ItemFloats = 1 << 18;

        public float* Source;
        public float* Sums;

        public readonly void Run(long begin, long end)
        {
            var (a, b, c, d) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
            var last = Source + (end * ItemFloats);
            for (var p = Source + (begin * ItemFloats); p < last; p += 64)
            {
                a += Vector512.Load(p);
                b += Vector512.Load(p + 16);
                c += Vector512.Load(p + 32);
                d += Vector512.Load(p + 48);
            }

            Sums[begin == 0 ? 0 : 32] = Vector512.Sum(a + b + c + d);
        }
    }
}
