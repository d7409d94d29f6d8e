using System.Diagnostics;
using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// Tensor parallelism on a CPU: the time of a sum over two threads compared with the bare time until one core sees what another wrote, and
/// two ranks of one thread compared with one rank of two threads.
/// </summary>
internal static class RankSpeed
{
    private const int WarmUps = 20_000; // until the JIT has optimised all of the code
    private const int Repeats = 2_000;

    /// <summary>Prints both tables.</summary>
    public static async Task RunAsync(ModelShape shape, string folder, string dtype, int threads, int rounds)
    {
        TorchLibrary.EnsureLoaded();
        Print($"two threads, {Environment.ProcessorCount} cores; microseconds, p50 / p99 of {Repeats}");
        Print($"| flag to the other core and back | {Quantiles(RoundTrips())} |");
        foreach (var bytes in (int[])[8 << 10, 64 << 10, 1 << 20])
        {
            foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
                Print($"| all-reduce of {bytes >> 10} KB, {type} | {Quantiles(Sums(bytes, type))} |");
        }

        Probes.OnOwnThread(() =>
        {
            shape.WriteTo(folder);
            return 0;
        });
        await using var one = await LoadAsync(folder, dtype, ranks: 1, threads);
        await using var two = await LoadAsync(folder, dtype, ranks: 2, threads);
        foreach (var engine in (LlmEngine[])[one, two])
        {
            await EndToEnd.DecodeAsync(engine, 1);
            await EndToEnd.PrefillAsync(engine);
        }

        var measured = new List<(double Decode, double Prefill)>();
        for (var round = 0; round < rounds; round++)
        {
            var (decodeOne, decodeTwo) = (await EndToEnd.DecodeAsync(one, 1), await EndToEnd.DecodeAsync(two, 1));
            var (prefillOne, prefillTwo) = (await EndToEnd.PrefillAsync(one), await EndToEnd.PrefillAsync(two));
            measured.Add((decodeTwo / decodeOne, prefillTwo / prefillOne));
            Print($"round {round + 1}: decode {decodeOne:F1} / {decodeTwo:F1} tok/s, prefill {prefillOne:F0} / {prefillTwo:F0} tok/s (1 rank of {threads} threads / 2 ranks of {threads / 2})");
        }

        Print($"| {shape.Name} {dtype}: 2 ranks over 1, medians | decode {Median(measured.Select(m => m.Decode)):F2} | prefill {Median(measured.Select(m => m.Prefill)):F2} |");
    }

    private static Task<LlmEngine> LoadAsync(string folder, string dtype, int ranks, int threads) => LlmEngine.LoadAsync(new()
    {
        ModelPath = folder,
        Device = "cpu",
        Dtype = dtype,
        TensorParallel = ranks,
        NumThreads = threads,
        SkipTokenizerInit = true,
        MaxModelLen = 4096,
        EnablePrefixCaching = false,
        NumGpuBlocksOverride = 512,
    });

    private static List<double> Sums(int bytes, ScalarType type)
    {
        var group = ThreadCollectives.Create(2);
        var times = new List<double>();
        var threads = group.Select(rank => new Thread(() =>
        {
            set_num_threads(1);
            using var part = zeros(bytes / type.ElementSize(), type);
            for (var i = 0; i < WarmUps + Repeats; i++)
            {
                var start = Stopwatch.GetTimestamp();
                rank.AllReduce(part);
                if (rank.Rank == 0 && i >= WarmUps)
                    times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
            }
        })).ToArray();
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        foreach (var rank in group)
            rank.Dispose();
        return times;
    }

    private static List<double> RoundTrips()
    {
        const int stride = 16;
        var flags = new long[3 * stride];
        var times = new List<double>();
        var echo = new Thread(() =>
        {
            for (long i = 1; i <= WarmUps + Repeats; i++)
            {
                while (Volatile.Read(ref flags[stride]) < i)
                    Thread.SpinWait(1);
                Volatile.Write(ref flags[2 * stride], i);
            }
        });
        echo.Start();
        for (long i = 1; i <= WarmUps + Repeats; i++)
        {
            var start = Stopwatch.GetTimestamp();
            Volatile.Write(ref flags[stride], i);
            while (Volatile.Read(ref flags[2 * stride]) < i)
                Thread.SpinWait(1);
            if (i > WarmUps)
                times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }

        echo.Join();
        return times;
    }

    private static string Quantiles(List<double> times)
    {
        times.Sort();
        return string.Create(CultureInfo.InvariantCulture, $"{times[times.Count / 2]:F1} / {times[times.Count * 99 / 100]:F1}");
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
