using LocalLlm.Interop;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// The operations that a device must have to run a model; support for another vendor needs only these. <see cref="TorchOps"/> is the
/// plain implementation that all others are tested against. Optional operations are in <see cref="Features"/>. Results are tensors of
/// the current dispose scope, valid until the end of the layer that asked for them (a device may keep one buffer for each kind of
/// result). Inputs are contiguous unless stated otherwise. Called on the executor's thread only.
/// </summary>
internal interface IDeviceOps
{
    /// <summary>Where tensors live.</summary>
    Device Device { get; }

    /// <summary>What the device has beyond these primitives; never changes.</summary>
    DeviceFeatures Features { get; }

    /// <summary>
    /// Type of the activations when the model computes in <paramref name="computeType"/>; also of the KV cache, unless that holds 8-bit
    /// floats.
    /// </summary>
    ScalarType ActivationType(ScalarType computeType);

    /// <summary>Brings a weight into the device's own layout. The caller keeps and disposes its tensors.</summary>
    /// <param name="weight">[out, in] in the activation type.</param>
    /// <param name="bias">[out] or null.</param>
    /// <param name="role">What its products are for.</param>
    /// <param name="packing">Which copies to keep.</param>
    LinearWeight PackLinear(Tensor weight, Tensor? bias, LinearRole role = LinearRole.Other,
        WeightPacking packing = WeightPacking.Compact);

    /// <summary>
    /// A small weight (a norm's, the embedding table) on the device, owned by the caller. Copied unless it is on the device already.
    /// </summary>
    Tensor ToDevice(Tensor weight);

    /// <summary>Announces a step to the device before the model's layers run.</summary>
    /// <param name="inputIds">One per token; may be a <see cref="SampledInput"/> where the device samples tokens.</param>
    /// <param name="metadata">The step; unchanged until the next call.</param>
    /// <returns>The ids in the form that <see cref="Embedding"/> takes.</returns>
    Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata);

    /// <summary>x · Wᵀ + bias: [rows, in] → [rows, out].</summary>
    Tensor Linear(Tensor x, LinearWeight weight);

    /// <summary>Rows of a table: ids [n], as <see cref="BeginStep"/> gave them → [n, width].</summary>
    Tensor Embedding(Tensor ids, Tensor table);

    /// <summary>
    /// As <see cref="Embedding"/>, from a table that holds the rows of a larger one from <paramref name="firstId"/> on. Ids outside of
    /// the table give zeros.
    /// </summary>
    Tensor EmbeddingShard(Tensor ids, Tensor table, long firstId)
    {
        var local = ids.Minus(firstId);
        var foreign = local.IsLess(0).logical_or(local.IsAtLeast(table.size(0)));
        return Embedding(local.MaskedFill(foreign, 0), table).MaskedFill(foreign.unsqueeze(1), 0);
    }

    /// <summary>Some rows of a matrix: [rows, width] → [indices, width].</summary>
    Tensor SelectRows(Tensor x, ReadOnlySpan<int> indices);

    /// <summary>
    /// The maximum of each row: [rows, width] → [rows, 2] float32, the largest value and the lowest column that has it. NaN counts as
    /// larger than every number; the first NaN's column is returned.
    /// </summary>
    /// <param name="x">firstColumn + width is at most 2²⁴: float32 holds such column numbers exactly.</param>
    /// <param name="firstColumn">Added to every column: where x begins in a wider matrix.</param>
    Tensor RowMaxima(Tensor x, long firstColumn)
    {
        var (values, columns) = x.max(1);
        return stack([values.to(float32), columns.Plus(firstColumn).to(float32)], 1);
    }

    /// <summary>
    /// x / rms(x) · weight over the last dimension: [rows, width] → [rows, width]. Rows of x may have gaps between them (some columns of a
    /// wider matrix); the result has none.
    /// </summary>
    Tensor RmsNorm(Tensor x, Tensor weight, float epsilon);

    /// <summary>RMSNorm of some heads of a fused projection, in place.</summary>
    /// <param name="qkv">[tokens, heads · head_dim].</param>
    /// <param name="weight">[head_dim].</param>
    /// <param name="firstColumn">First column of the first head.</param>
    /// <param name="heads">Number of adjacent heads.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    void RmsNormHeads(Tensor qkv, Tensor weight, int firstColumn, int heads, float epsilon);

    /// <summary>
    /// Rotates queries and keys of <paramref name="qkv"/> [tokens, qkv width] in place and stores keys and values in their slots.
    /// </summary>
    void RotaryAndCache(Tensor qkv, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape);

    /// <summary>Causal attention of each token over its own sequence's blocks: [tokens, qkv width] → [tokens, heads · head_dim].</summary>
    Tensor Attention(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape);

    /// <summary>silu(gate) · up: [rows, 2 · width] (gate first) → [rows, width].</summary>
    Tensor SiluAndMul(Tensor gateUp);

    /// <summary>
    /// The shape of one block of each tensor of a layer's cache: [block_size, heads, width] unless the device has a layout of its own, and
    /// always for <see cref="KvLayout.Rows"/>.
    /// </summary>
    IReadOnlyList<long[]> CacheBlockShapes(KvLayerSpec layer) =>
        [.. layer.Tensors.Select(tensor => (long[])[AttentionMetadata.BlockSize, tensor.Heads, tensor.Width])];
}
