using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// One matrix (and its bias) as a <see cref="ILinearMethod"/> stores it, with every product that layers ask for.
/// <see cref="ComposedLinear"/> composes all products from <see cref="Forward"/>.
/// </summary>
internal interface ILinear
{
    /// <summary>
    /// The loaded matrix, for operations over many matrices at once; null: such operations compute one product after the other.
    /// </summary>
    IWeightMatrix? Weight => null;

    /// <summary>Max rows whose products can be recorded (<see cref="IGraphCapture"/>), once the matrix is loaded; 0: none can.</summary>
    int MaxRecordedRows => int.MaxValue;

    /// <summary>x · Wᵀ + bias: [rows, in] → [rows, out].</summary>
    Tensor Forward(Tensor x);

    /// <summary>
    /// <see cref="Forward"/> of the normalised input, whose rows may have gaps between them as in <see cref="IDeviceOps.RmsNorm"/>.
    /// </summary>
    Tensor ForwardNormed(Tensor x, RmsNorm norm);

    /// <summary>silu(gate) · up of the normalised input, for a matrix [gate | up]: [rows, in] → [rows, out / 2].</summary>
    Tensor ForwardGated(Tensor x, RmsNorm norm);

    /// <summary>
    /// <see cref="ForwardNormed"/> by a matrix [q | k | v], with queries and keys rotated and keys and values stored: [tokens, in] →
    /// [tokens, qkv width].
    /// </summary>
    Tensor ForwardRotated(Tensor x, RmsNorm norm, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata,
        AttentionShape shape);

    /// <summary>
    /// Copies what is loaded, for <see cref="Take"/> by a matrix of the same shape and method, possibly on another rank.
    /// </summary>
    /// <param name="device">The other rank's device.</param>
    /// <exception cref="NotSupportedException">The linear method cannot move its matrices.</exception>
    ILinear Copy(Device device);

    /// <summary>Replaces this matrix by the one in a copy; the copy is used up.</summary>
    /// <exception cref="NotSupportedException">The linear method cannot move its matrices.</exception>
    void Take(ILinear copy);

    /// <summary>residual += <see cref="Forward"/>, in place.</summary>
    void AddTo(Tensor residual, Tensor x);
}
