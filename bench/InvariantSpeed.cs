using System.Diagnostics;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// Batch-invariant bfloat16 products on the CPU compared with libtorch's: one product after the other, over more matrices than the caches
/// hold.
/// </summary>
internal static class InvariantSpeed
{
    private const long WorkingSetBytes = 256L << 20;
    private static readonly int[] s_rows = [1, 2, 4, 8, 16, 32, 64, 512];

    /// <summary>Prints the median and the best time of single products over rounds, in which both kinds take turns.</summary>
    public static void Run(int inFeatures, int outFeatures, int threads, int rounds)
    {
        TorchLibrary.EnsureLoaded();
        set_num_threads(threads);
        using var noGradients = inference_mode();
        using var usual = new CpuOps();
        using var invariant = new CpuOps(batchInvariant: true);
        using var loop = new PairProducts(usesMachineCode: false);
        var count = (int)Math.Max(1, WorkingSetBytes / (2L * inFeatures * outFeatures));
        var (usualWeights, invariantWeights) = (new List<LinearWeight>(), new List<LinearWeight>());
        for (var i = 0; i < count; i++)
        {
            using var scope = NewDisposeScope();
            var weight = randn([outFeatures, inFeatures], bfloat16);
            usualWeights.Add(usual.PackLinear(weight, null, LinearRole.Other, WeightPacking.DecodeCopies));
            invariantWeights.Add(invariant.PackLinear(weight, null, LinearRole.Other, WeightPacking.Compact));
        }

        Console.WriteLine($"[{outFeatures}, {inFeatures}], {count} matrices, {threads} threads, {rounds} rounds; times are of one product, median and best");
        Console.WriteLine("rows   usual                                   invariant                               invariant / usual   invariant without machine code");
        foreach (var rows in s_rows)
        {
            using var x = randn([rows, inFeatures], bfloat16);
            var (usualTimes, invariantTimes, loopTimes) = (new List<double>(), new List<double>(), new List<double>());
            for (var round = 0; round < rounds; round++)
            {
                Time(weight => usual.Linear(x, weight), usualWeights, usualTimes);
                Time(weight => invariant.Linear(x, weight), invariantWeights, invariantTimes);
                Time(weight => loop.Multiply(x, weight), invariantWeights, loopTimes);
            }

            var operations = 2.0 * rows * inFeatures * outFeatures;
            Console.WriteLine(
                $"{rows,4}   {Text(usualTimes, operations)}   {Text(invariantTimes, operations)}   "
                + $"{Median(invariantTimes) / Median(usualTimes):F2}, {invariantTimes.Min() / usualTimes.Min():F2}          {Text(loopTimes, operations)}");
        }
    }

    private static string Text(List<double> taken, double operations) =>
        $"{Median(taken) * 1e6,7:F0}, {taken.Min() * 1e6,7:F0} us ({operations / taken.Min() / 1e9,5:F0} GFLOP/s)";

    private static void Time(Func<LinearWeight, Tensor> multiply, List<LinearWeight> weights, List<double> taken)
    {
        multiply(weights[0]).Dispose();
        foreach (var weight in weights)
        {
            var start = Stopwatch.GetTimestamp();
            multiply(weight).Dispose();
            taken.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
