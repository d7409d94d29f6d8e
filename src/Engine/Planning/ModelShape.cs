using LocalLlm.Models;
using LocalLlm.Ops.Cuda;
using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>
/// Latent attention (DeepSeek-V2's MLA): queries and keys are projected down and up again, and the cache keeps one latent vector per token.
/// </summary>
/// <param name="QueryRank">Width of the queries' latent vector; null: queries are projected directly.</param>
/// <param name="KvRank">Width of the latent vector of keys and values.</param>
/// <param name="PlainDim">Dimensions of a query or key head that are not rotated.</param>
/// <param name="RotaryDim">Rotated dimensions; all heads share a token's rotated key.</param>
/// <param name="ValueDim">Dimensions of a value head.</param>
internal sealed record LatentShape(int? QueryRank, int KvRank, int PlainDim, int RotaryDim, int ValueDim);

/// <summary>A mixture of experts in place of an MLP.</summary>
/// <param name="Count">Routed experts.</param>
/// <param name="PerToken">Routed experts used for one token.</param>
/// <param name="Width">Width of a routed expert.</param>
/// <param name="SharedWidth">Total width of the shared experts, which compute every token; 0: there are none.</param>
/// <param name="HasSharedGate">Whether the shared expert has a gate.</param>
/// <param name="HasRouterBias">Whether the router has a bias for each expert.</param>
internal sealed record ExpertShape(int Count, int PerToken, int Width, int SharedWidth, bool HasSharedGate, bool HasRouterBias);

/// <summary>Weights in blocks of 8-bit floats with a float32 scale for each block.</summary>
/// <param name="Rows">Rows of a block.</param>
/// <param name="Columns">Columns of a block.</param>
/// <param name="ScaleOf">What one scale is for, for messages.</param>
internal sealed record BlockFormat(int Rows, int Columns, string ScaleOf)
{
    /// <summary>Modules of the layers that are stored unquantised, as config.json names them.</summary>
    public IReadOnlyList<string> Kept { get; init; } = [];
}

/// <summary>All that the size of a decoder depends on, from config.json alone, whether or not this build runs the model.</summary>
internal sealed record ModelShape
{
    /// <summary>The first entry of <c>architectures</c>, or the model's type.</summary>
    public required string Architecture { get; init; }

    /// <summary>Whether this build knows the architecture and can read its weights.</summary>
    public required bool IsRunnable { get; init; }

    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Decoder layers.</summary>
    public required int Layers { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key and value heads.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Dimensions of a head.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Rows of the embedding.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Width of a dense MLP; 0: no layer has one.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>The longest context.</summary>
    public required long MaxModelLength { get; init; }

    /// <summary>Whether the output head uses the embedding's matrix.</summary>
    public required bool IsTied { get; init; }

    /// <summary>Bias on the query, key and value projections.</summary>
    public required bool HasQkvBias { get; init; }

    /// <summary>Bias on the attention's output projection.</summary>
    public required bool HasOutputBias { get; init; }

    /// <summary>Bias on the projections of an MLP.</summary>
    public required bool HasMlpBias { get; init; }

    /// <summary>Norms on query and key heads.</summary>
    public required bool HasQkNorm { get; init; }

    /// <summary>The type that the file names; null: it names none.</summary>
    public required ModelDtype? Dtype { get; init; }

    /// <summary>Latent attention; null: each head has its own keys and values.</summary>
    public LatentShape? Latent { get; init; }

    /// <summary>Experts; null: every MLP is dense.</summary>
    public ExpertShape? Experts { get; init; }

    /// <summary>Whether the ranks of a group hold whole experts instead of a part of every expert.</summary>
    public bool SpreadsExperts { get; init; }

    /// <summary>Copies of experts in each layer, over all ranks of a stage.</summary>
    public int RedundantExperts { get; init; }

    /// <summary>Which layers have experts: one entry per layer; empty: none has.</summary>
    public IReadOnlyList<bool> ExpertLayers { get; init; } = [];

    /// <summary>How the matrices of the layers are stored; null: unquantised.</summary>
    public BlockFormat? Quantisation { get; init; }

    /// <summary>Layers of multi-token prediction after the last one; at most one of them is used.</summary>
    public int PredictionLayers { get; init; }

    /// <summary>Whether the layer of multi-token prediction has experts.</summary>
    public bool PredictsByExperts { get; init; }

    /// <summary>Whether a layer's MLP is a mixture of experts.</summary>
    public bool HasExperts(int layer) => ExpertLayers.Count > 0 && ExpertLayers[layer];

    /// <summary>The sizes that must split evenly over the ranks.</summary>
    public SplitShape Split
    {
        get
        {
            var widths = new List<SplitWidth>();
            if (IntermediateSize > 0 && Enumerable.Range(0, Layers).Any(layer => !HasExperts(layer)))
                widths.Add(new("intermediate_size", IntermediateSize));
            if (Experts is { } experts)
            {
                if (!SpreadsExperts)
                    widths.Add(new("moe_intermediate_size", experts.Width) { IsOfExperts = true });
                if (experts.SharedWidth > 0)
                    widths.Add(new("the shared experts' width", experts.SharedWidth));
            }

            return new(Layers, Heads, Latent is null ? KvHeads : 0, widths) { Experts = Experts?.Count ?? 0 };
        }
    }

    /// <summary>Rows of the largest decode step that a GPU records.</summary>
    public int MaxRecordedRows => Latent is null && Quantisation is null ? int.MaxValue : SkinnyTiling.MaxRows;

    /// <summary>Elements of a token that one layer caches on one rank. Latent vectors are the same on all ranks of a group.</summary>
    public long KvElements(int tensorParallel) =>
        Latent is { } latent ? latent.KvRank + latent.RotaryDim : 2L * Split.KvHeadsPerRank(tensorParallel) * HeadDim;

    /// <summary>Scales of a token that one layer caches on one rank beside 8-bit floats.</summary>
    public long KvScales(int tensorParallel) => Latent is not null ? 1 : 2L * Split.KvHeadsPerRank(tensorParallel);
}
