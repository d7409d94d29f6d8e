using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// How matrices are stored in a checkpoint and multiplied by (vLLM's linear method): it owns the type of the stored elements, their scales
/// and the product. One instance serves one model on one rank; what it creates is of one matrix.
/// </summary>
internal interface ILinearMethod
{
    /// <summary>Registers what it needs of the checkpoint for one matrix of this rank.</summary>
    /// <param name="context">What the layer is built with.</param>
    /// <param name="weights">
    /// Slices of the matrix, joined along the outputs, as an unquantised model stores them: a method may read them in a type of its own
    /// (<see cref="WeightSpec.Type"/>) and further tensors beside them, such as scales.
    /// </param>
    /// <param name="biases">Slices of the bias, joined likewise; empty for none.</param>
    /// <param name="role">What the products are for.</param>
    ILinear Create(LayerContext context, IReadOnlyList<WeightSpec> weights, IReadOnlyList<WeightSpec> biases, LinearRole role);

    /// <summary>
    /// Registers a matrix whose values a layer needs for more than a product: in the activation type, however it is stored.
    /// </summary>
    /// <param name="context">What the layer is built with.</param>
    /// <param name="weight">The slice, as an unquantised model stores it.</param>
    /// <param name="pack">
    /// What the layer keeps of the slice [out, in], whose tensor is disposed afterwards; it counts as one copy in the activation type.
    /// </param>
    LoadedWeight<T> AddValues<T>(LayerContext context, WeightSpec weight, Func<Tensor, WeightPacking, T> pack)
        where T : class, IDisposable;
}
