namespace LocalLlm.Weights;

/// <summary>Which copies of a matrix a device keeps.</summary>
internal enum WeightPacking
{
    /// <summary>One.</summary>
    Compact,

    /// <summary>A second one, in the layout that is fastest for a single row.</summary>
    DecodeCopies,
}
