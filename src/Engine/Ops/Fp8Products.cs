namespace LocalLlm.Ops;

/// <summary>How a device multiplies its matrices of 8-bit floats; for logs.</summary>
/// <param name="Quantised">Number of matrices that are multiplied by rows of 8-bit floats.</param>
/// <param name="InKernels">Number of matrices that kernels widen as they multiply.</param>
/// <param name="Whole">Number of matrices that plain operations widen before each product: no kernel supports their blocks or the type
/// of activations.</param>
/// <param name="ManyRows">What multiplies many rows, and why; null: the same as few rows.</param>
internal sealed record Fp8Products(int Quantised, int InKernels, int Whole, string? ManyRows)
{
    /// <summary>Number of all matrices.</summary>
    public int Count => Quantised + InKernels + Whole;
}
