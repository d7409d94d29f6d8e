using System.Globalization;
using LocalLlm.Ops.Cuda;

namespace LocalLlm.Bench;

/// <summary>Times every cut of a product of few rows.</summary>
internal static class CutSearch
{
    private const int Replays = 4;

    /// <summary>Tries all of them.</summary>
    /// <param name="ops">The card.</param>
    /// <param name="chosen">The cut that the engine takes.</param>
    /// <param name="defines">The macros of a cut.</param>
    /// <param name="hasSplits">Whether blocks may share the inputs of an output.</param>
    /// <param name="run">Launches the product.</param>
    /// <param name="floor">Microseconds of reading the matrices.</param>
    /// <param name="name">Begins the lines that are written.</param>
    /// <param name="cuts">Receives a line for each cut.</param>
    /// <returns>The best one, for the table.</returns>
    public static string Run(
        CudaOps ops, SkinnyTiling chosen, Func<SkinnyTiling, string> defines, bool hasSplits, Action<SkinnyTiling> run, double floor, string name, TextWriter cuts)
    {
        var all = chosen.Alternatives().Where(cut => hasSplits || cut.Splits == 1).ToArray();
        ops.Kernels.Prepare(SkinnyProduct.Source, [.. all.Select(defines).Distinct()]);
        var (best, bestTime) = (chosen, double.MaxValue);
        foreach (var cut in all)
        {
            var time = GpuClock.Time(ops, () => run(cut), Replays);
            cuts.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{name},{cut.RowTiles},{cut.OutputTiles},{cut.OutputWarps},{cut.InputWarps},{cut.Depth},{cut.Splits},{time:F2},{floor:F2},{(cut == chosen ? 1 : 0)}"));
            if (time < bestTime)
                (best, bestTime) = (cut, time);
        }

        return string.Create(
            CultureInfo.InvariantCulture,
            $"| chosen {Text(chosen)}, best {bestTime:F1} us ({floor / bestTime:P0}) {Text(best)}");
    }

    private static string Text(SkinnyTiling cut) => string.Create(
        CultureInfo.InvariantCulture, $"{cut.RowTiles}/{cut.OutputTiles}/{cut.OutputWarps}/{cut.InputWarps}/{cut.Depth}/{cut.Splits}");
}
