using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The sizes of a latent attention layer over all ranks, and its options.</summary>
internal sealed record LatentAttentionOptions
{
    // The published model code does not pass rms_norm_eps to the norms of latent vectors.
    private const float DefaultLatentEpsilon = 1e-6f;

    /// <summary>Width of the layer's input and output.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width of the queries' latent vector; null: queries are projected directly.</summary>
    public required int? QueryRank { get; init; }

    /// <summary>Bias on the projections to the latent vectors and on the output projection.</summary>
    public required bool Bias { get; init; }

    /// <summary>The shape over all ranks.</summary>
    public required LatentAttentionShape Shape { get; init; }

    /// <summary>Epsilon of the norms of the latent vectors.</summary>
    public float LatentEpsilon { get; init; } = DefaultLatentEpsilon;
}

/// <summary>
/// Multi-head latent attention (arXiv 2405.04434): the keys and values of all heads are computed from one latent vector per token, and
/// the cache keeps only that vector. Heads are split over the ranks; every rank keeps all latent vectors.
/// </summary>
internal sealed class LatentAttention : IAttention
{
    private readonly LayerContext _context;
    private readonly RotaryTable _rotary;
    private readonly int _layer;
    private readonly LatentAttentionOptions _options;
    private readonly LatentAttentionShape _shape; // of this rank
    private readonly ILinear _down; // [query latent | latent | rotated key]; without a query latent: [latent | rotated key]
    private readonly ILinear _query; // from the query's latent vector, or from the input
    private readonly RmsNorm? _queryNorm;
    private readonly RmsNorm _latentNorm;
    private readonly LoadedWeight<LatentWeight> _up;
    private readonly RowParallelLinear _output;

    /// <summary>Registers the projections and norms under <paramref name="prefix"/>.</summary>
    /// <param name="context">What layers are built with.</param>
    /// <param name="prefix">Name of the layer in the checkpoint.</param>
    /// <param name="layer">Index of the layer's cache.</param>
    /// <param name="options">Sizes and options.</param>
    /// <param name="rotary">Position embeddings, owned by the model.</param>
    public LatentAttention(LayerContext context, string prefix, int layer, LatentAttentionOptions options, RotaryTable rotary)
    {
        (_context, _layer, _options, _rotary) = (context, layer, options, rotary);
        var whole = options.Shape;
        var heads = ShardRange.Of(whole.Heads, context.Collectives, "The number of attention heads");
        _shape = whole with { Heads = (int)heads.Length };
        var (queryName, queryInput) = options.QueryRank is { } rank ? ($"{prefix}.q_b_proj", rank) : ($"{prefix}.q_proj", options.HiddenSize);
        List<(string Name, int Size)> down = [($"{prefix}.kv_a_proj_with_mqa", whole.RowWidth)];
        if (options.QueryRank is { } queryRank)
        {
            down.Insert(0, ($"{prefix}.q_a_proj", queryRank));
            _queryNorm = new(context, $"{prefix}.q_a_layernorm", queryRank, options.LatentEpsilon);
        }

        _down = context.LinearMethod.Create(
            context,
            [.. down.Select(matrix => WeightSpec.Whole($"{matrix.Name}.weight", matrix.Size, options.HiddenSize))],
            options.Bias ? [.. down.Select(matrix => WeightSpec.Whole($"{matrix.Name}.bias", matrix.Size))] : [],
            LinearRole.LatentDown);
        _query = context.LinearMethod.Create(context, [Heads(queryName, whole.QueryDim, queryInput)], [], LinearRole.Qkv);
        _latentNorm = new(context, $"{prefix}.kv_a_layernorm", whole.Rank, options.LatentEpsilon);
        _up = context.LinearMethod.AddValues(
            context, Heads($"{prefix}.kv_b_proj", whole.PlainDim + whole.ValueDim, whole.Rank),
            (tensor, _) => context.Latent.Pack(tensor, _shape));
        _output = new(context, $"{prefix}.o_proj", whole.Heads * whole.ValueDim, options.HiddenSize, options.Bias);

        WeightSpec Heads(string name, int headDim, int input) =>
            new($"{name}.weight", [(long)whole.Heads * headDim, input], 0, heads.Start * headDim, heads.Length * headDim);
    }

    /// <inheritdoc/>
    public KvLayerSpec Cache => KvLayerSpec.Rows(_shape.RowWidth);

    /// <inheritdoc/>
    public int MaxRecordedRows => Math.Min(
        _context.Latent.MaxRecordedRows(_context.ActivationType, _shape),
        Math.Min(_down.MaxRecordedRows, Math.Min(_query.MaxRecordedRows, _output.MaxRecordedRows)));

    /// <inheritdoc/>
    public void AddTo(Tensor residual, RmsNorm norm, ForwardContext forward)
    {
        var cache = forward.Caches[_layer];
        var (queries, rows, column) = Project(residual, norm);
        _context.Latent.RotateAndStore(
            queries, rows, column, _latentNorm.Weight, _latentNorm.Epsilon, _rotary, cache, forward.Metadata, _shape);
        _output.AddTo(residual, _context.Latent.Attention(queries, _up.Value, cache, forward.Metadata, _shape));
    }

    // Queries [tokens, heads · query_dim], and rows [tokens, width] whose columns from Column on are to be cached.
    private (Tensor Queries, Tensor Rows, int Column) Project(Tensor residual, RmsNorm norm)
    {
        if (_queryNorm is null)
            return (_query.ForwardNormed(residual, norm), _down.ForwardNormed(residual, norm), 0);
        var rank = _options.QueryRank!.Value;
        var rows = _down.ForwardNormed(residual, norm);
        return (_query.ForwardNormed(rows.narrow(1, 0, rank), _queryNorm), rows, rank);
    }
}
