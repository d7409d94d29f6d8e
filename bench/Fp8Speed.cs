using System.Diagnostics;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// Products by 8-bit floats on the CPU beside those by bfloat16 and the rate at which memory is read: one product after the other over so many
/// matrices that no cache holds them.
/// </summary>
internal static class Fp8Speed
{
    private const long WorkingSetBytes = 256L << 20;
    private static readonly int[] s_rows = [1, 2, 4, 8, 16, 32, 64, 512];

    /// <summary>Prints medians over rounds, in which all are measured one after the other.</summary>
    public static void Run(int inFeatures, int outFeatures, int rounds)
    {
        TorchLibrary.EnsureLoaded();
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
            narrow.Add(fp8.Pack(randint(0, 0x7F, [outFeatures, inFeatures], ScalarType.Byte), ones((outFeatures + 127) / 128, (inFeatures + 127) / 128), grid, null, LinearRole.Other));
        }

        var reads = new List<double>();
        var times = s_rows.ToDictionary(rows => rows, _ => (Wide: new List<double>(), Narrow: new List<double>()));
        for (var round = 0; round < rounds; round++)
        {
            reads.Add(Probes.OnOwnThread(Probes.ReadBandwidth));
            foreach (var rows in s_rows)
            {
                using var x = randn([rows, inFeatures], bfloat16);
                times[rows].Wide.Add(Time(wide, weight => ops.Linear(x, weight).Dispose()));
                times[rows].Narrow.Add(Time(narrow, weight => fp8.Linear(x, weight).Dispose()));
            }
        }

        double elements = (double)inFeatures * outFeatures;
        Console.WriteLine($"[{outFeatures}, {inFeatures}], {count} matrices, {rounds} rounds; memory read at {Median(reads) / 1e9:F1} GB/s");
        foreach (var (rows, (wideTimes, narrowTimes)) in times)
        {
            var (w, n) = (Median(wideTimes), Median(narrowTimes));
            Console.WriteLine($"{rows,4} rows: bfloat16 {w * 1e6,8:F0} us ({2 * elements / w / 1e9,5:F1} GB/s, {2 * rows * elements / w / 1e9,5:F0} GFLOP/s)   "
                + $"8-bit {n * 1e6,8:F0} us ({elements / n / 1e9,5:F1} GB/s, {2 * rows * elements / n / 1e9,5:F0} GFLOP/s)   {w / n:F2} times as fast");
        }
    }

    private static double Time<T>(List<T> weights, Action<T> multiply)
    {
        multiply(weights[0]);
        var start = Stopwatch.GetTimestamp();
        foreach (var weight in weights)
            multiply(weight);
        return Stopwatch.GetElapsedTime(start).TotalSeconds / weights.Count;
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
