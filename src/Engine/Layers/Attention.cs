using LocalLlm.Ops;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The sizes of an attention layer over all ranks, and its options.</summary>
/// <param name="HiddenSize">Width of the layer's input and output.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KvHeads">Key and value heads.</param>
/// <param name="HeadDim">Elements per head.</param>
/// <param name="QkvBias">Biases on the three input projections.</param>
/// <param name="OutputBias">Bias on the output projection.</param>
/// <param name="QkNormEpsilon">Epsilon of the norms on each query and key head; null: there are none.</param>
/// <param name="SlidingWindow">How many positions a token attends to, its own included; null: all of them.</param>
internal sealed record AttentionOptions(
    int HiddenSize, int Heads, int KvHeads, int HeadDim, bool QkvBias, bool OutputBias, float? QkNormEpsilon, int? SlidingWindow);

/// <summary>Grouped-query attention with rotary positions over a paged KV cache.</summary>
internal sealed class Attention : IAttention
{
    private readonly LayerContext _context;
    private readonly RotaryTable _rotary;
    private readonly int _layer;
    private readonly QkvParallelLinear _qkv;
    private readonly RowParallelLinear _output;
    private readonly RmsNorm? _queryNorm;
    private readonly RmsNorm? _keyNorm;
    private readonly AttentionShape _shape;

    /// <summary>Registers the projections (and norms) under <paramref name="prefix"/>.</summary>
    /// <param name="context">What layers are built with.</param>
    /// <param name="prefix">Name of the layer in the checkpoint.</param>
    /// <param name="layer">Index of the layer's cache.</param>
    /// <param name="options">Sizes and options.</param>
    /// <param name="rotary">Position embeddings, owned by the model.</param>
    public Attention(LayerContext context, string prefix, int layer, AttentionOptions options, RotaryTable rotary)
    {
        _context = context;
        _layer = layer;
        _rotary = rotary;
        _qkv = new(context, prefix, options.HiddenSize, options.Heads, options.KvHeads, options.HeadDim, options.QkvBias);
        _output = new(context, $"{prefix}.o_proj", options.Heads * options.HeadDim, options.HiddenSize, options.OutputBias);
        if (options.QkNormEpsilon is { } epsilon)
        {
            _queryNorm = new(context, $"{prefix}.q_norm", options.HeadDim, epsilon);
            _keyNorm = new(context, $"{prefix}.k_norm", options.HeadDim, epsilon);
        }

        var heads = (int)ShardRange.Of(options.Heads, context.Collectives, "The number of attention heads").Length;
        var kvHeads = (int)ShardRange.OfKvHeads(options.KvHeads, context.Collectives).Length;
        _shape = new(heads, kvHeads, options.HeadDim, 1 / MathF.Sqrt(options.HeadDim), options.SlidingWindow);
    }

    /// <inheritdoc/>
    public KvLayerSpec Cache => KvLayerSpec.KeysAndValues(_shape.KvHeads, _shape.HeadDim);

    /// <inheritdoc/>
    public int MaxRecordedRows => Math.Min(_qkv.MaxRecordedRows, _output.MaxRecordedRows);

    /// <inheritdoc/>
    public void AddTo(Tensor residual, RmsNorm norm, ForwardContext forward)
    {
        var cache = forward.Caches[_layer];
        var qkv = Project(residual, norm, cache, forward.Metadata); // [tokens, (heads + 2 · kv_heads) · head_dim]
        _output.AddTo(residual, _context.Ops.Attention(qkv, cache, forward.Metadata, _shape));
    }

    private Tensor Project(Tensor residual, RmsNorm norm, KvLayerCache cache, AttentionMetadata metadata)
    {
        if (_queryNorm is null || _keyNorm is null)
            return _qkv.ForwardRotated(residual, norm, _rotary, cache, metadata, _shape);
        var qkv = _qkv.Forward(residual, norm);
        _queryNorm.ForwardHeads(qkv, 0, _shape.Heads);
        _keyNorm.ForwardHeads(qkv, _shape.KeyOffset, _shape.KvHeads);
        _context.Ops.RotaryAndCache(qkv, _rotary, cache, metadata, _shape);
        return qkv;
    }
}
