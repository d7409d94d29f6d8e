using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// How a checkpoint stores matrices and how layers multiply by them (vLLM's linear method). It owns the type of the stored elements, their
/// scales and the product. One instance serves one model on one rank, and creates one object per matrix.
/// </summary>
internal interface ILinearMethod
{
    /// <summary>Registers the tensors of the checkpoint that one matrix of this rank needs.</summary>
    /// <param name="context">What the layer is built with.</param>
    /// <param name="weights">
    /// Slices of the matrix, joined along the outputs, as an unquantised model stores them. A method may read them in another type
    /// (<see cref="WeightSpec.Type"/>), and read further tensors such as scales.
    /// </param>
    /// <param name="biases">Slices of the bias, joined likewise; empty for none.</param>
    /// <param name="role">What the products are for.</param>
    ILinear Create(LayerContext context, IReadOnlyList<WeightSpec> weights, IReadOnlyList<WeightSpec> biases, LinearRole role);

    /// <summary>
    /// Registers a matrix whose values a layer uses for more than a product. They come in the activation type, however they are stored.
    /// </summary>
    /// <param name="context">What the layer is built with.</param>
    /// <param name="weight">The slice, as an unquantised model stores it.</param>
    /// <param name="pack">
    /// Converts the slice [out, in] to what the layer keeps; the slice's tensor is disposed afterwards. The result counts as one copy in
    /// the activation type.
    /// </param>
    LoadedWeight<T> AddValues<T>(LayerContext context, WeightSpec weight, Func<Tensor, WeightPacking, T> pack)
        where T : class, IDisposable;
}
