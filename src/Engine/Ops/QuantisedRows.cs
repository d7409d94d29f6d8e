using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Rows of 8-bit floats with their scales.</summary>
/// <param name="Values">[rows, in] bytes.</param>
/// <param name="Scales">[⌈in / 128⌉, rows] float32.</param>
internal readonly record struct QuantisedRows(Tensor Values, Tensor Scales) : IDisposable
{
    /// <summary>How many.</summary>
    public int Rows => (int)Values.size(0);

    /// <inheritdoc/>
    public void Dispose()
    {
        Values.Dispose();
        Scales.Dispose();
    }
}

/// <summary>Normalised rows, and the same as 8-bit floats.</summary>
/// <param name="Rows">[rows, in] of the type of activations.</param>
/// <param name="Quantised">Valid until others are quantised.</param>
internal readonly record struct NormalisedRows(Tensor Rows, QuantisedRows Quantised);
