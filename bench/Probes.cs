using System.Diagnostics;
using System.Runtime.Intrinsics;
using LocalLlm.Interop;
using LocalLlm.Ops.Cpu;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>The machine's own limits, measured in the same run as what is compared with them.</summary>
internal static unsafe class Probes
{
    private const long ReadBytes = 1L << 30;

    /// <summary>Bytes per second that all threads read from memory, summing float32s.</summary>
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
