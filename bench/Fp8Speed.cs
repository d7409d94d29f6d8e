using System.Diagnostics;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// Products with 8-bit weights on the CPU compared with bfloat16 weights and with the rate of reading memory: one product after the other,
/// over more matrices than the caches hold.
/// </summary>
internal static class Fp8Speed
{
    private const long WorkingSetBytes = 256L << 20;
    private static readonly int[] s_rows = [1, 2, 4, 8, 16, 32, 64, 512];

    /// <summary>Prints median and best times of single products over rounds; every round measures all kinds in turn.</summary>
    public static void Run(int inFeatures, int outFeatures, int threads, int rounds)
    {
        TorchLibrary.EnsureLoaded();
        set_num_threads(threads);
        using var noGradients = inference_mode();
        using var ops = new CpuOps();
        var fp8 = ops.Features.Fp8!;
        var count = (int)Math.Max(1, WorkingSetBytes / ((long)inFeatures * outFeatures));
        var wide = new List<LinearWeight>();
        var narrow = new List<Fp8Weight>();
        var grid = new Fp8Grid([.. Enumerable.Range(0, outFeatures).Select(row => row / 128)], 128, 0);
        for (var i = 0; i < count; i++)
        {
            using var scope = NewDisposeScope();
            wide.Add(ops.PackLinear(randn([outFeatures, inFeatures], bfloat16), null, LinearRole.Other, WeightPacking.DecodeCopies));
            var scales = ones((outFeatures + 127) / 128, (inFeatures + 127) / 128);
            narrow.Add(fp8.Pack(randint(0, 0x7F, [outFeatures, inFeatures], ScalarType.Byte), scales, grid, null, LinearRole.Other));
        }

        var reads = new List<double>();
        var times = s_rows.ToDictionary(rows => rows, _ => (Wide: new List<double>(), Narrow: new List<double>()));
        for (var round = 0; round < rounds; round++)
        {
            reads.Add(Probes.ReadBandwidth());
            foreach (var rows in s_rows)
            {
                using var x = randn([rows, inFeatures], bfloat16);
                Time(wide, weight => ops.Linear(x, weight).Dispose(), times[rows].Wide);
                Time(narrow, weight => fp8.Linear(x, weight).Dispose(), times[rows].Narrow);
            }
        }

        double elements = (double)inFeatures * outFeatures;
        Console.WriteLine($"[{outFeatures}, {inFeatures}], {count} matrices, {threads} threads, {rounds} rounds");
        Console.WriteLine(
            $"memory read at {Median(reads) / 1e9:F1} GB/s, at best {reads.Max() / 1e9:F1}; times are of one product, median and best");
        Console.WriteLine(
            "rows   bfloat16                                         8-bit                                            bfloat16 / 8-bit");
        foreach (var (rows, (wideTimes, narrowTimes)) in times)
        {
            var (medians, best) = (Median(wideTimes) / Median(narrowTimes), wideTimes.Min() / narrowTimes.Min());
            Console.WriteLine(
                $"{rows,4}   {Text(wideTimes, rows, 2 * elements)}   {Text(narrowTimes, rows, elements)}   {medians:F2}, {best:F2}");
        }

        string Text(List<double> taken, int rows, double bytes)
        {
            var (median, best) = (Median(taken), taken.Min());
            return $"{median * 1e6,6:F0}, {best * 1e6,6:F0} us "
                + $"({bytes / best / 1e9,5:F1} GB/s, {2 * rows * elements / best / 1e9,5:F0} GFLOP/s at best)";
        }
    }

    private static void Time<T>(List<T> weights, Action<T> multiply, List<double> taken)
    {
        multiply(weights[0]);
        foreach (var weight in weights)
        {
            var start = Stopwatch.GetTimestamp();
            multiply(weight);
            taken.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
