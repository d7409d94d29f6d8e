using System.Globalization;
using LocalLlm.Ops.Cuda;

namespace LocalLlm.Bench;

/// <summary>Times every cut of a product.</summary>
internal static class CutSearch
{
    private const int Replays = 4;

    /// <summary>Times the chosen cut and all others.</summary>
    /// <param name="ops">The card.</param>
    /// <param name="source">The kernel's source.</param>
    /// <param name="chosen">The cut that the engine uses.</param>
    /// <param name="all">The cuts to try.</param>
    /// <param name="defines">Returns the macros of a cut.</param>
    /// <param name="run">Launches the product with a cut.</param>
    /// <param name="floor">Microseconds that reading the matrices takes.</param>
    /// <param name="name">The beginning of each line.</param>
    /// <param name="cuts">Receives a line for each cut.</param>
    /// <returns>A cell of the table: the best cut.</returns>
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
