using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>A matrix of 8-bit floats in the form that one <see cref="IFp8Ops"/> multiplies by; owns its tensors.</summary>
/// <param name="data">The bytes in the device's own layout.</param>
/// <param name="scales">[rows of blocks, columns of blocks] float32.</param>
/// <param name="grid">Which scale an element has.</param>
/// <param name="bias">[out] or null.</param>
/// <param name="inFeatures">Columns of the original matrix.</param>
internal sealed class Fp8Weight(Tensor data, Tensor scales, Fp8Grid grid, Tensor? bias, int inFeatures) : IWeightMatrix
{
    /// <summary>The bytes in the device's own layout.</summary>
    public Tensor Data { get; } = data;

    /// <summary>[rows of blocks, columns of blocks] float32.</summary>
    public Tensor Scales { get; } = scales;

    /// <summary>Which scale an element has.</summary>
    public Fp8Grid Grid { get; private set; } = grid;

    /// <summary>[out] or null.</summary>
    public Tensor? Bias { get; } = bias;

    /// <summary>What its products are for.</summary>
    public LinearRole Role { get; init; }

    /// <summary>Elements of a result row.</summary>
    public int OutFeatures => Grid.ScaleRows.Length;

    /// <summary>Elements of an input row.</summary>
    public int InFeatures { get; } = inFeatures;

    /// <summary>A copy with memory of its own, on a device of the same kind.</summary>
    public Fp8Weight Copy(Device device) =>
        new(Copied(Data, device), Copied(Scales, device), Grid, Bias is null ? null : Copied(Bias, device), InFeatures) { Role = Role };

    /// <summary>
    /// Replaces the grid by an equal one that this rank's matrices of this shape share. Devices tell shapes apart by this object.
    /// </summary>
    public void Share(Fp8Grid grid) => Grid = grid;

    private static Tensor Copied(Tensor tensor, Device device) => tensor.CopyTo(device).DetachFromDisposeScope();

    /// <inheritdoc/>
    public void Dispose()
    {
        Data.Dispose();
        Scales.Dispose();
        Bias?.Dispose();
    }
}
