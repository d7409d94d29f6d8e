using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Operations that a device may offer in place of several primitives of <see cref="IDeviceOps"/>, with the same result within rounding.
/// <see cref="ComposedOps"/> composes them from primitives; a device that has only some of them derives from that class. Results live as
/// long as those of <see cref="IDeviceOps"/>.
/// </summary>
internal interface IFusedOps
{
    /// <summary>
    /// <see cref="IDeviceOps.Linear"/> of the <see cref="IDeviceOps.RmsNorm"/> of x. As there, rows of x may have gaps between them.
    /// </summary>
    Tensor NormLinear(Tensor x, Tensor normWeight, float epsilon, LinearWeight weight);

    /// <summary><see cref="IDeviceOps.SiluAndMul"/> of <see cref="NormLinear"/>: [rows, in] → [rows, out / 2].</summary>
    Tensor NormGatedLinear(Tensor x, Tensor normWeight, float epsilon, LinearWeight gateUp);

    /// <summary>residual += x · Wᵀ + bias, in place.</summary>
    void LinearAdd(Tensor x, LinearWeight weight, Tensor residual);

    /// <summary>
    /// <see cref="NormLinear"/> by a fused projection [q | k | v], then <see cref="IDeviceOps.RotaryAndCache"/> of its result:
    /// [tokens, in] → [tokens, qkv width].
    /// </summary>
    Tensor NormQkvRotary(
        Tensor x, Tensor normWeight, float epsilon, LinearWeight qkv, RotaryTable rotary, KvLayerCache cache,
        AttentionMetadata metadata, AttentionShape shape);

    /// <summary>
    /// Attention within whole texts: every token attends to all of its text. [tokens, 3 · heads · head_dim] (queries, keys, values) →
    /// [tokens, heads · head_dim].
    /// </summary>
    Tensor TextAttention(Tensor qkv, TextSpans texts, int heads);

    /// <summary>The layer norm of x + residual: [rows, width] → [rows, width]. The inputs may be overwritten.</summary>
    Tensor AddLayerNorm(Tensor x, Tensor residual, Tensor weight, Tensor bias, float epsilon);

    /// <summary>x · Φ(x), exactly (Hendrycks and Gimpel, 2016): [rows, width] → the same. The input may be overwritten.</summary>
    Tensor Gelu(Tensor x);
}
