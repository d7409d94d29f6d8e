using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Products by matrices of 8-bit floats, which stay 8 bits wide in the device's memory; part of <see cref="DeviceFeatures"/>.
/// <see cref="TorchFp8Ops"/> is the plain version. Results live as those of <see cref="IDeviceOps"/>.
/// </summary>
internal interface IFp8Ops
{
    /// <summary>Whether rows of a type become 8-bit floats too, where blocks of scales allow it; otherwise matrices are widened.</summary>
    bool QuantisesRows(ScalarType type) => false;

    /// <summary>Brings a matrix into the device's own layout. The caller keeps and disposes its tensors.</summary>
    /// <param name="bytes">[out, in] e4m3 (<see cref="Float8"/>), as bytes; no NaN.</param>
    /// <param name="scales">[rows of blocks, columns of blocks] float32, finite, none negative.</param>
    /// <param name="grid">Which scale an element has.</param>
    /// <param name="bias">[out] in the activation type, or null.</param>
    /// <param name="role">What its products are for.</param>
    Fp8Weight Pack(Tensor bytes, Tensor scales, Fp8Grid grid, Tensor? bias, LinearRole role);

    /// <summary>x · Wᵀ + bias, where an element of W is its byte's value times its block's scale: [rows, in] → [rows, out].</summary>
    Tensor Linear(Tensor x, Fp8Weight weight);
}
