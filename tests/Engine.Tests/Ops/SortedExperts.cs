using LocalLlm.Interop;
using LocalLlm.Ops.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// The rows of a step's experts, sorted on the host as <c>experts.cu</c> sorts them: for testing products of experts alone.
/// </summary>
/// <param name="Memory">[tiles | starts | active | order] int32, where <paramref name="Rows"/> lie.</param>
/// <param name="Rows">The rows of each expert.</param>
internal sealed record SortedExperts(Tensor Memory, ExpertRows Rows) : IDisposable
{
    /// <summary>Sorts the rows.</summary>
    /// <param name="ids">[tokens · <paramref name="perToken"/>] the experts of each token.</param>
    /// <param name="experts">Number of experts.</param>
    /// <param name="perToken">Experts per token.</param>
    /// <param name="device">Where the rows lie.</param>
    public static unsafe SortedExperts Of(int[] ids, int experts, int perToken, Device device)
    {
        var rows = new ExpertRows(ids.Length, perToken, experts, IsSmall: true, 0);
        int[] order = [.. Enumerable.Range(0, ids.Length).OrderBy(i => ids[i])];
        int[] starts = [.. Enumerable.Range(0, experts + 1).Select(expert => ids.Count(id => id < expert))];
        int[] active = [.. Padded(ids.Distinct().Order(), experts)];
        var tiles =
            from expert in Enumerable.Range(0, experts)
            from tile in Enumerable.Range(0, (starts[expert + 1] - starts[expert] + rows.RowsOfTile - 1) / rows.RowsOfTile)
            from number in (int[])[expert, tile]
            select number;
        var memory = tensor((int[])[.. Padded(tiles, 2 * rows.MaxTiles), .. starts, .. active, .. order], device: device);
        return new(memory, rows with { Memory = (ulong)memory.DataPointer() });
    }

    /// <inheritdoc/>
    public void Dispose() => Memory.Dispose();

    private static IEnumerable<int> Padded(IEnumerable<int> numbers, int count) => numbers.Concat(Enumerable.Repeat(-1, count)).Take(count);
}
