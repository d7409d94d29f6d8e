namespace LocalLlm.Weights;

/// <summary>Which copies of a matrix a device keeps.</summary>
internal enum WeightPacking
{
    /// <summary>One copy.</summary>
    Compact,

    /// <summary>A second copy, in the layout that is fastest for a single row.</summary>
    DecodeCopies,
}
