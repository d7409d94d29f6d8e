namespace LocalLlm.Ops.Cpu;

/// <summary>
/// The inputs of a matrix of 8-bit floats, cut where a column of blocks ends: within a segment an output has one scale. The kernels'
/// layouts pad every segment to whole groups of four inputs.
/// </summary>
/// <param name="InFeatures">Inputs of the matrix.</param>
/// <param name="BlockColumns">Inputs of a block.</param>
/// <param name="ColumnOffset">Inputs of the first block that lie before the matrix.</param>
internal readonly record struct Fp8Segments(int InFeatures, int BlockColumns, int ColumnOffset)
{
    /// <summary>Inputs of a group.</summary>
    public const int GroupWidth = 4;

    /// <summary>Number of segments, which is that of the scales of an output.</summary>
    public int Count => (InFeatures + ColumnOffset + BlockColumns - 1) / BlockColumns;

    /// <summary>Inputs of all segments, padded.</summary>
    public int PaddedWidth => PaddedStart(Count - 1) + (GroupWidth * Groups(Count - 1));

    /// <summary>The first input of a segment.</summary>
    public int Start(int segment) => Math.Max(0, (segment * BlockColumns) - ColumnOffset);

    /// <summary>Inputs of a segment.</summary>
    public int Length(int segment) => Math.Min(InFeatures, ((segment + 1) * BlockColumns) - ColumnOffset) - Start(segment);

    /// <summary>Groups of four inputs of a segment, the last of them padded.</summary>
    public int Groups(int segment) => GroupsOf(Length(segment));

    /// <summary>The first input of a segment among the padded ones.</summary>
    public int PaddedStart(int segment) =>
        segment == 0 ? 0 : GroupWidth * (Groups(0) + ((segment - 1) * GroupsOf(BlockColumns)));

    private static int GroupsOf(int inputs) => (inputs + GroupWidth - 1) / GroupWidth;
}
