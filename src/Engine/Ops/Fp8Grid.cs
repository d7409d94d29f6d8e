using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Which scale an element of a matrix of 8-bit floats has. For output o and input i it is
/// scales[<paramref name="ScaleRows"/>[o], (i + <paramref name="ColumnOffset"/>) / <paramref name="BlockColumns"/>]. This allows a matrix
/// joined from several, and a slice that begins anywhere in a block.
/// </summary>
/// <param name="ScaleRows">[out] each output's row of the scales.</param>
/// <param name="BlockColumns">Number of inputs of a block.</param>
/// <param name="ColumnOffset">Number of inputs of the first block before the slice, fewer than <paramref name="BlockColumns"/>.</param>
internal sealed record Fp8Grid(int[] ScaleRows, int BlockColumns, int ColumnOffset)
{
    /// <summary>The edge of a block that spans its matrix, whatever the matrix's size.</summary>
    public const int Whole = 1 << 24;

    /// <summary>Expands the scales to every output: [rows of blocks, columns of blocks] → [out, columns of blocks].</summary>
    public Tensor OfOutputs(Tensor scales)
    {
        using var rows = tensor(ScaleRows, device: scales.device);
        return scales.index_select(0, rows);
    }
}
