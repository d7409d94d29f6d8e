using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>What the products of a matrix are for. A device keeps results of different roles in different buffers.</summary>
internal enum LinearRole
{
    /// <summary>Added to the residual stream, or used at once.</summary>
    Other,

    /// <summary>Queries, keys and values.</summary>
    Qkv,

    /// <summary>Gate and up projection of an MLP.</summary>
    GateUp,

    /// <summary>Logits.</summary>
    Head,

    /// <summary>Latent vectors of queries, keys and values.</summary>
    LatentDown,

    /// <summary>Scores of experts.</summary>
    Router,
}

/// <summary>
/// A bfloat16 matrix in panels of 64 outputs and pairs of inputs: [⌈out / 64⌉, pairs, 64, 2], padded with zeros.
/// </summary>
/// <param name="Address">Address of the first element.</param>
/// <param name="InputPairs">Number of pairs of inputs in a panel, padding included.</param>
internal readonly record struct PairPanels(nint Address, int InputPairs);

/// <summary>A weight matrix in the layout that an <see cref="IDeviceOps"/> multiplies by fastest; owns its tensors.</summary>
/// <param name="data">The matrix in the device's own layout.</param>
/// <param name="bias">[out] or null.</param>
/// <param name="outFeatures">Rows of the original matrix.</param>
/// <param name="inFeatures">Columns of the original matrix.</param>
/// <param name="decodeData">A second copy in the layout that is fastest for a single row, or null.</param>
internal sealed class LinearWeight(Tensor data, Tensor? bias, int outFeatures, int inFeatures, Tensor? decodeData = null) : IWeightMatrix
{
    private Tensor? _transposed;

    /// <summary>The matrix in the device's own layout.</summary>
    public Tensor Data { get; } = data;

    /// <summary>[in, out]: a view of <see cref="Data"/> where that is the original matrix.</summary>
    public Tensor Transposed => _transposed ??= Data.t().DetachFromDisposeScope();

    /// <summary>A second copy in the layout that is fastest for a single row, or null.</summary>
    public Tensor? DecodeData { get; } = decodeData;

    /// <summary>The panels for few rows in <see cref="Data"/> or <see cref="DecodeData"/>; null: neither has panels.</summary>
    public PairPanels? Panels { get; init; }

    /// <summary>[out] or null.</summary>
    public Tensor? Bias { get; } = bias;

    /// <summary>What its products are for.</summary>
    public LinearRole Role { get; init; }

    /// <summary>Elements of a result row.</summary>
    public int OutFeatures { get; } = outFeatures;

    /// <summary>Elements of an input row.</summary>
    public int InFeatures { get; } = inFeatures;

    /// <summary>A copy with memory of its own, on a device of the same kind.</summary>
    public unsafe LinearWeight Copy(Device device)
    {
        var (data, decodeData) = (Copied(Data, device)!, Copied(DecodeData, device));
        // Panels are the second copy, or the whole content of a library's own layout.
        var panels = Panels is { } own ? own with { Address = decodeData is null ? MkldnnLinear.MemoryOf(data).Address : (nint)decodeData.DataPointer() } : (PairPanels?)null;
        return new(data, Copied(Bias, device), OutFeatures, InFeatures, decodeData) { Panels = panels, Role = Role };
    }

    private static Tensor? Copied(Tensor? tensor, Device device) => tensor?.CopyTo(device).DetachFromDisposeScope();

    /// <inheritdoc/>
    public void Dispose()
    {
        _transposed?.Dispose();
        Data.Dispose();
        DecodeData?.Dispose();
        Bias?.Dispose();
    }
}
