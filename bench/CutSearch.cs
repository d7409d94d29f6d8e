using System.Globalization;
using LocalLlm.Ops.Cuda;

namespace LocalLlm.Bench;

/// <summary>Times every cut of a product.</summary>
internal static class CutSearch
{
    private const int Replays = 4;

    /// <summary>Tries all of them.</summary>
    /// <param name="ops">The card.</param>
    /// <param name="source">The kernel's source.</param>
    /// <param name="chosen">The cut that the engine takes.</param>
    /// <param name="all">Those to try.</param>
    /// <param name="defines">The macros of a cut.</param>
    /// <param name="run">Launches the product.</param>
    /// <param name="floor">Microseconds of reading the matrices.</param>
    /// <param name="name">Begins the lines that are written.</param>
    /// <param name="cuts">Receives a line for each cut.</param>
    /// <returns>The best one, for the table.</returns>
    public static string Run<T>(
        CudaOps ops, string source, T chosen, IEnumerable<T> all, Func<T, string> defines, Action<T> run, double floor, string name, TextWriter cuts)
        where T : struct
    {
        T[] tried = [chosen, .. all];
        ops.Kernels.Prepare(source, [.. tried.Select(defines).Distinct()]);
        var (best, bestTime) = (chosen, double.MaxValue);
        foreach (var cut in tried)
        {
            var time = GpuClock.Time(ops, () => run(cut), Replays);
            cuts.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name},{cut},{time:F2},{floor:F2},{(cut.Equals(chosen) ? 1 : 0)}"));
            if (time < bestTime)
                (best, bestTime) = (cut, time);
        }

        cuts.Flush();
        return string.Create(CultureInfo.InvariantCulture, $"| best {bestTime:F1} us ({floor / bestTime:P0}) {best}");
    }
}
