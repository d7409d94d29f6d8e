using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Products by matrices of 8-bit floats that stay 8 bits wide in the device's memory; part of <see cref="DeviceFeatures"/>.
/// <see cref="TorchFp8Ops"/> is the plain version. Results live as long as those of <see cref="IDeviceOps"/>.
/// </summary>
internal interface IFp8Ops
{
    /// <summary>Tries ways to multiply and chooses one. Called once: after all matrices are packed, before the first product.</summary>
    /// <param name="type">Type of the activations.</param>
    /// <returns>How the matrices are multiplied; null: kernels widen all of them.</returns>
    Fp8Products? Prepare(ScalarType type) => null;

    /// <summary>Brings a matrix into the device's own layout. The caller keeps and disposes its tensors.</summary>
    /// <param name="bytes">[out, in] e4m3 (<see cref="Float8"/>), as bytes; no NaN.</param>
    /// <param name="scales">[rows of blocks, columns of blocks] float32, finite, none negative.</param>
    /// <param name="grid">Which scale an element has.</param>
    /// <param name="bias">[out] in the activation type, or null.</param>
    /// <param name="role">What its products are for.</param>
    Fp8Weight Pack(Tensor bytes, Tensor scales, Fp8Grid grid, Tensor? bias, LinearRole role);

    /// <summary>x · Wᵀ + bias, where an element of W is its byte's value times its block's scale: [rows, in] → [rows, out].</summary>
    Tensor Linear(Tensor x, Fp8Weight weight);

    /// <summary>Normalises rows as <see cref="IDeviceOps.RmsNorm"/> does, then multiplies as <see cref="Linear"/> does.</summary>
    /// <param name="x">[rows, in]; rows may have gaps between them.</param>
    /// <param name="norm">[in].</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="weight">The matrix.</param>
    /// <returns>Null: the device has no kernel for it, and nothing was done.</returns>
    Tensor? TryLinearNormed(Tensor x, Tensor norm, float epsilon, Fp8Weight weight) => null;

    /// <summary>silu(gate) · up of normalised rows, for a matrix [gate | up].</summary>
    /// <param name="x">[rows, in].</param>
    /// <param name="norm">[in].</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="weight">[out, in].</param>
    /// <returns>[rows, out / 2]; null: the device has no kernel for it, and nothing was done.</returns>
    Tensor? TryLinearGated(Tensor x, Tensor norm, float epsilon, Fp8Weight weight) => null;

    /// <summary>residual += <see cref="Linear"/>, rounded once.</summary>
    /// <param name="residual">[rows, out], contiguous.</param>
    /// <param name="x">[rows, in].</param>
    /// <param name="weight">The matrix.</param>
    /// <returns>False: the device has no kernel for it, and nothing was done.</returns>
    bool TryAddLinear(Tensor residual, Tensor x, Fp8Weight weight) => false;

    /// <summary>Frees what the device keeps for a matrix beside its tensors. Called before a single matrix is disposed.</summary>
    /// <param name="weight">A matrix of this device.</param>
    void Forget(Fp8Weight weight)
    {
    }
}
