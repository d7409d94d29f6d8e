using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Which scale an element of a matrix of 8-bit floats has: the one of output o and input i is
/// scales[<paramref name="ScaleRows"/>[o], (i + <paramref name="ColumnOffset"/>) / <paramref name="BlockColumns"/>]. So a matrix may be
/// joined of several, and be a slice that begins anywhere in a block.
/// </summary>
/// <param name="ScaleRows">[out].</param>
/// <param name="BlockColumns">Inputs of a block.</param>
/// <param name="ColumnOffset">Inputs of the first block that lie before the slice, fewer than <paramref name="BlockColumns"/>.</param>
internal sealed record Fp8Grid(int[] ScaleRows, int BlockColumns, int ColumnOffset)
{
    /// <summary>The edge of a block that is as long as its matrix, whatever that is.</summary>
    public const int Whole = 1 << 24;

    /// <summary>The scales of every output: scales [rows of blocks, columns of blocks] → [out, columns of blocks].</summary>
    public Tensor OfOutputs(Tensor scales)
    {
        using var rows = tensor(ScaleRows, device: scales.device);
        return scales.index_select(0, rows);
    }
}
