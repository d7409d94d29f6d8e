using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Rows of 8-bit floats with their scales.</summary>
/// <param name="Values">[rows, in] bytes.</param>
/// <param name="Scales">[⌈in / 128⌉, rows] float32.</param>
internal readonly record struct QuantisedRows(Tensor Values, Tensor Scales) : IDisposable
{
    /// <summary>Number of rows.</summary>
    public int Rows => (int)Values.size(0);

    /// <inheritdoc/>
    public void Dispose()
    {
        Values.Dispose();
        Scales.Dispose();
    }
}

/// <summary>Rows of 8-bit floats in tiles of 64 rows by 128 inputs, with their scales. Rows after the last are undefined.</summary>
/// <param name="Values">[tiles, in · 64] bytes.</param>
/// <param name="Scales">[tiles, in / 128 · 64] float32.</param>
/// <param name="Rows">Number of rows.</param>
internal readonly record struct TiledRows(Tensor Values, Tensor Scales, int Rows) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        Values.Dispose();
        Scales.Dispose();
    }
}

/// <summary>Normalised rows, in the activation type and as 8-bit floats.</summary>
/// <param name="Rows">[rows, in] in the activation type.</param>
/// <param name="Quantised">The same rows as 8-bit floats; valid until other rows are quantised.</param>
internal readonly record struct NormalisedRows(Tensor Rows, QuantisedRows Quantised);
