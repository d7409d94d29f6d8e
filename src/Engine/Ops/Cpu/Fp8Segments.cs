namespace LocalLlm.Ops.Cpu;

/// <summary>
/// The inputs of a matrix of 8-bit floats, cut into segments where a column of blocks ends: an output has one scale within a segment. The
/// kernels' layouts pad every segment to whole groups of four inputs.
/// </summary>
/// <param name="InFeatures">Number of inputs of the matrix.</param>
/// <param name="BlockColumns">Number of inputs of a block.</param>
/// <param name="ColumnOffset">Number of inputs of the first block before the matrix.</param>
internal readonly record struct Fp8Segments(int InFeatures, int BlockColumns, int ColumnOffset)
{
    /// <summary>Inputs of a group.</summary>
    public const int GroupWidth = 4;

    /// <summary>Number of segments, and of scales of an output.</summary>
    public int Count => (InFeatures + ColumnOffset + BlockColumns - 1) / BlockColumns;

    /// <summary>Number of inputs of all segments, padding included.</summary>
    public int PaddedWidth => PaddedStart(Count - 1) + (GroupWidth * Groups(Count - 1));

    /// <summary>The first input of a segment.</summary>
    public int Start(int segment) => Math.Max(0, (segment * BlockColumns) - ColumnOffset);

    /// <summary>Number of inputs of a segment.</summary>
    public int Length(int segment) => Math.Min(InFeatures, ((segment + 1) * BlockColumns) - ColumnOffset) - Start(segment);

    /// <summary>Number of groups of four inputs of a segment, the last one padded.</summary>
    public int Groups(int segment) => GroupsOf(Length(segment));

    /// <summary>The first input of a segment among the padded ones.</summary>
    public int PaddedStart(int segment) =>
        segment == 0 ? 0 : GroupWidth * (Groups(0) + ((segment - 1) * GroupsOf(BlockColumns)));

    private static int GroupsOf(int inputs) => (inputs + GroupWidth - 1) / GroupWidth;
}
