using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// Query, key and value projections as one product [q | k | v]. Heads are split over the ranks. If there are fewer key and value heads
/// than ranks, several ranks hold the same one.
/// </summary>
internal sealed class QkvParallelLinear : ParallelLinear
{
    /// <summary>Registers <c>prefix.{q,k,v}_proj.weight</c> [heads · head_dim, in] and their biases.</summary>
    public QkvParallelLinear(LayerContext context, string prefix, int inFeatures, int heads, int kvHeads, int headDim, bool bias)
        : base(
            context,
            [.. Projections(context, prefix, heads, kvHeads, headDim)
                .Select(p => new WeightSpec($"{p.Name}.weight", [p.Size, inFeatures], 0, p.Shard.Start, p.Shard.Length))],
            bias ? [.. Projections(context, prefix, heads, kvHeads, headDim)
                .Select(p => new WeightSpec($"{p.Name}.bias", [p.Size], 0, p.Shard.Start, p.Shard.Length))] : [],
            LinearRole.Qkv)
    {
    }

    /// <summary>Projects the normalised input: [tokens, in] → [tokens, (heads + 2 · kv_heads) · head_dim].</summary>
    public Tensor Forward(Tensor x, RmsNorm norm) => Matrix.ForwardNormed(x, norm);

    /// <summary><see cref="Forward"/> that also rotates queries and keys and stores keys and values.</summary>
    public Tensor ForwardRotated(Tensor x, RmsNorm norm, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape) =>
        Matrix.ForwardRotated(x, norm, rotary, cache, metadata, shape);

    private static (string Name, long Size, ShardRange Shard)[] Projections(LayerContext context, string prefix, int heads, int kvHeads, int headDim)
    {
        var query = Rows(ShardRange.Of(heads, context.Collectives, "The number of attention heads"));
        var keyValue = Rows(ShardRange.OfKvHeads(kvHeads, context.Collectives));
        return
        [
            ($"{prefix}.q_proj", (long)heads * headDim, query),
            ($"{prefix}.k_proj", (long)kvHeads * headDim, keyValue),
            ($"{prefix}.v_proj", (long)kvHeads * headDim, keyValue),
        ];

        ShardRange Rows(ShardRange range) => new(range.Start * headDim, range.Length * headDim);
    }
}
