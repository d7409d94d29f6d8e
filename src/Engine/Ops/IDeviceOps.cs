using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// What a device does for a model. <see cref="TorchOps"/> is the plain version that every other one is tested against.
/// Results are tensors of the current dispose scope, valid until the end of the layer that asked for them (a device may keep one buffer
/// for each kind of result); inputs are contiguous. Called on the worker's thread only.
/// </summary>
internal interface IDeviceOps
{
    /// <summary>Where tensors live.</summary>
    Device Device { get; }

    /// <summary>The memory as it is now; the host's, unless the device has its own.</summary>
    DeviceMemory Memory => new(HostMemory.AvailableBytes(), 0, EngineOptionsDefaults.CpuMemoryUtilization);

    /// <summary>Type of activations and of the KV cache when the weights are computed in <paramref name="computeType"/>.</summary>
    ScalarType ActivationType(ScalarType computeType);

    /// <summary>
    /// Whether a second copy of each weight, in the layout that is fastest for one row, would make single-sequence decoding faster.
    /// </summary>
    bool GainsFromDecodeCopies(ScalarType activationType);

    /// <summary>Whether <see cref="PackLinear"/> keeps such second copies; set before the first weight is packed.</summary>
    bool KeepDecodeCopies { get; set; }

    /// <summary>Brings a weight into the device's own layout. The caller keeps and disposes its tensors.</summary>
    /// <param name="weight">[out, in] in the activation type.</param>
    /// <param name="bias">[out] or null.</param>
    /// <param name="role">What its products are for.</param>
    LinearWeight PackLinear(Tensor weight, Tensor? bias, LinearRole role = LinearRole.Other);

    /// <summary>The way for weights to the device; null: through the host's memory. The caller disposes it.</summary>
    IWeightStaging? CreateStaging() => null;

    /// <summary>Gives back what was taken for tensors that are gone.</summary>
    void ReleaseUnusedMemory()
    {
    }

    /// <summary>A small weight (a norm's, the embedding table) on the device, owned by the caller; a copy, unless it is there already.</summary>
    Tensor ToDevice(Tensor weight) => weight.clone().DetachFromDisposeScope();

    /// <summary>Makes a step known before the model's layers run.</summary>
    /// <param name="inputIds">One per token; a <see cref="SampledInput"/> where the device samples tokens.</param>
    /// <param name="metadata">The step; unchanged until the next call.</param>
    /// <returns>The ids as <see cref="Embedding"/> takes them.</returns>
    Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata)
    {
        var ids = empty([inputIds.Length], ScalarType.Int64);
        var target = ids.data<long>();
        for (var i = 0; i < inputIds.Length; i++)
            target[i] = inputIds[i];
        return ids.to(Device);
    }

    /// <summary>x · Wᵀ + bias: [rows, in] → [rows, out].</summary>
    Tensor Linear(Tensor x, LinearWeight weight);

    /// <summary><see cref="Linear"/> of the <see cref="RmsNorm"/> of x.</summary>
    Tensor NormLinear(Tensor x, Tensor normWeight, float epsilon, LinearWeight weight) => Linear(RmsNorm(x, normWeight, epsilon), weight);

    /// <summary><see cref="SiluAndMul"/> of <see cref="NormLinear"/>: [rows, in] → [rows, out / 2].</summary>
    Tensor NormGatedLinear(Tensor x, Tensor normWeight, float epsilon, LinearWeight gateUp) => SiluAndMul(NormLinear(x, normWeight, epsilon, gateUp));

    /// <summary>residual += x · Wᵀ + bias, in place.</summary>
    void LinearAdd(Tensor x, LinearWeight weight, Tensor residual) => residual.add_(Linear(x, weight));

    /// <summary>Rows of a table: ids [n], as <see cref="BeginStep"/> gave them → [n, width].</summary>
    Tensor Embedding(Tensor ids, Tensor table);

    /// <summary>Some rows of a matrix: [rows, width] → [indices, width].</summary>
    Tensor SelectRows(Tensor x, ReadOnlySpan<int> indices);

    /// <summary>x / rms(x) · weight over the last dimension: [rows, width] → [rows, width].</summary>
    Tensor RmsNorm(Tensor x, Tensor weight, float epsilon);

    /// <summary>RMSNorm of some heads of a fused projection, in place.</summary>
    /// <param name="qkv">[tokens, heads · head_dim].</param>
    /// <param name="weight">[head_dim].</param>
    /// <param name="firstColumn">First column of the first head.</param>
    /// <param name="heads">Number of adjacent heads.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    void RmsNormHeads(Tensor qkv, Tensor weight, int firstColumn, int heads, float epsilon);

    /// <summary>Rotates queries and keys of <paramref name="qkv"/> [tokens, qkv width] in place and stores keys and values in their slots.</summary>
    void RotaryAndCache(Tensor qkv, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape);

    /// <summary>
    /// <see cref="NormLinear"/> by a fused projection [q | k | v], then <see cref="RotaryAndCache"/> of its result: [tokens, in] → [tokens, qkv width].
    /// </summary>
    Tensor NormQkvRotary(
        Tensor x, Tensor normWeight, float epsilon, LinearWeight qkv, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
    {
        var projected = NormLinear(x, normWeight, epsilon, qkv);
        RotaryAndCache(projected, rotary, cache, metadata, shape);
        return projected;
    }

    /// <summary>Causal attention of each token over its own sequence's blocks: [tokens, qkv width] → [tokens, heads · head_dim].</summary>
    Tensor Attention(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape);

    /// <summary>silu(gate) · up: [rows, 2 · width] (gate first) → [rows, width].</summary>
    Tensor SiluAndMul(Tensor gateUp);

    /// <summary>Attention within whole texts, every token to all of its text: [tokens, 3 · heads · head_dim] (queries, keys, values) → [tokens, heads · head_dim].</summary>
    Tensor TextAttention(Tensor qkv, TextSpans texts, int heads) => Ops.TextAttention.Forward(qkv, texts, heads);

    /// <summary>The layer norm of x + residual: [rows, width] → [rows, width]. The inputs may be overwritten.</summary>
    Tensor AddLayerNorm(Tensor x, Tensor residual, Tensor weight, Tensor bias, float epsilon) =>
        nn.functional.layer_norm(x.add_(residual), [x.shape[1]], weight, bias, epsilon);

    /// <summary>x · Φ(x), exactly (Hendrycks and Gimpel, 2016): [rows, width] → the same. The input may be overwritten.</summary>
    Tensor Gelu(Tensor x) => nn.functional.gelu(x);

    /// <summary>In place of a sampled id.</summary>
    const int NonFiniteRow = -1;

    /// <inheritdoc cref="NonFiniteRow"/>
    const int NoTokenAllowed = -2;

    /// <summary>Whether <see cref="BeginSample"/> can be asked; otherwise sampling is the host's.</summary>
    bool SamplesTokens => false;

    /// <summary>
    /// Starts to choose a token for each of the first rows of some logits. The ids stay on the device, where inputs of the next step can name
    /// them (<see cref="SampledInput"/>), until the next call. At most two may be under way.
    /// </summary>
    void BeginSample(Tensor logits, SamplingBatch batch) => throw new NotSupportedException("This device leaves sampling to the host.");

    /// <summary>
    /// Waits for the oldest sampling under way. <see cref="NonFiniteRow"/> for a row with NaN, +Infinity or nothing but -Infinity;
    /// <see cref="NoTokenAllowed"/> where edits have left no token.
    /// </summary>
    void EndSample(Span<int> ids) => throw new NotSupportedException("This device leaves sampling to the host.");

    /// <summary>An empty cache for <paramref name="blocks"/> blocks of one layer, unless the device has a layout of its own: [blocks, block_size, kv_heads, head_dim].</summary>
    KvLayerCache AllocateCache(int blocks, AttentionShape shape, ScalarType type)
    {
        long[] size = [blocks, AttentionMetadata.BlockSize, shape.KvHeads, shape.HeadDim];
        return new(zeros(size, type, Device).DetachFromDisposeScope(), zeros(size, type, Device).DetachFromDisposeScope());
    }

    /// <summary>Bytes of one block of one layer, keys and values.</summary>
    long CacheBlockBytes(AttentionShape shape, ScalarType type) =>
        2L * AttentionMetadata.BlockSize * shape.KvHeads * shape.HeadDim * type.ElementSize();
}
