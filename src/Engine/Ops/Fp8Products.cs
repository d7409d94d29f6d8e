namespace LocalLlm.Ops;

/// <summary>How the matrices of 8-bit floats that a device holds are multiplied: for people.</summary>
/// <param name="Quantised">Those by which rows of 8-bit floats are multiplied.</param>
/// <param name="InKernels">Those that kernels widen when they multiply.</param>
/// <param name="Whole">Those that plain operations widen before each product: no kernel takes their blocks, or the type of
/// activations.</param>
/// <param name="ManyRows">What multiplies many rows, and why; null: the same as few.</param>
internal sealed record Fp8Products(int Quantised, int InKernels, int Whole, string? ManyRows)
{
    /// <summary>All of them.</summary>
    public int Count => Quantised + InKernels + Whole;
}
