namespace LocalLlm.Planning;

/// <summary>The weights of a decoder by where they lie: before the layers, in them, after them. Pure.</summary>
/// <param name="shape">The model.</param>
internal sealed class ModelParts(ModelShape shape)
{
    /// <summary>The model.</summary>
    public ModelShape Shape { get; } = shape;

    /// <summary>The embedding: of the first stage, and of the last one if the head is tied to it.</summary>
    public IReadOnlyList<WeightPart> Embedding { get; } = [new(shape.VocabSize, shape.HiddenSize, PartSplit.Vocabulary)];

    /// <summary>The output head; empty where it is the embedding.</summary>
    public IReadOnlyList<WeightPart> Head { get; } = shape.IsTied ? [] : [new(shape.VocabSize, shape.HiddenSize, PartSplit.Vocabulary)];

    /// <summary>The norm behind the last layer.</summary>
    public IReadOnlyList<WeightPart> FinalNorm { get; } = [new(shape.HiddenSize, 1, PartSplit.None)];

    /// <summary>A layer with a dense MLP.</summary>
    public IReadOnlyList<WeightPart> DenseLayer { get; } = [.. Attention(shape), .. Mlp(shape, shape.IntermediateSize)];

    /// <summary>A layer with experts; empty where the model has none.</summary>
    public IReadOnlyList<WeightPart> ExpertLayer { get; } = shape.Experts is { } experts ? [.. Attention(shape), .. ExpertsOf(shape, experts)] : [];

    /// <summary>The layer of multi-token prediction; empty where the model has none.</summary>
    public IReadOnlyList<WeightPart> Prediction { get; } = PredictionOf(shape);

    /// <summary>Weights that the headers of the files have beyond what the configuration says, in every layer; 0: none, or no headers were read.</summary>
    public long ExtraElementsPerLayer { get; init; }

    /// <summary>The parts of one layer.</summary>
    public IReadOnlyList<WeightPart> Layer(int layer)
    {
        var parts = Shape.HasExperts(layer) ? ExpertLayer : DenseLayer;
        return ExtraElementsPerLayer == 0 ? parts : [.. parts, new(ExtraElementsPerLayer, 1, PartSplit.None)];
    }

    /// <summary>All parameters of the model.</summary>
    public long Parameters => Sum(part => part.Elements);

    /// <summary>Parameters that one token is computed by: all but the experts that it is not routed to.</summary>
    public long ActiveParameters => Sum(part => part.Rows * part.Columns * (part.Active ?? part.Count));

    /// <summary>Bytes of parts on one rank.</summary>
    /// <param name="parts">The parts.</param>
    /// <param name="split">How many ranks split them.</param>
    /// <param name="elementBytes">Of an element of the model's type.</param>
    public long Bytes(IEnumerable<WeightPart> parts, StageSplit split, int elementBytes) =>
        parts.Sum(part => part.BytesOn(split.RanksOf(part), Shape.KvHeads, elementBytes, Shape.Quantisation));

    /// <summary>Bytes of parts on one rank that a step of one token reads.</summary>
    public long ActiveBytes(IEnumerable<WeightPart> parts, StageSplit split, int elementBytes) =>
        parts.Sum(part => part.BytesOn(split.RanksOf(part), Shape.KvHeads, elementBytes, Shape.Quantisation, part.Active));

    private long Sum(Func<WeightPart, long> size) =>
        Enumerable.Range(0, Shape.Layers).Sum(layer => Layer(layer).Sum(size)) + Embedding.Concat(FinalNorm).Concat(Head).Sum(size);

    // Embedding and head are the model's; the projection is not quantised.
    private static WeightPart[] PredictionOf(ModelShape shape)
    {
        if (shape.PredictionLayers == 0)
            return [];
        var mlp = shape.PredictsByExperts ? ExpertsOf(shape, shape.Experts!) : Mlp(shape, shape.IntermediateSize);
        return [.. Attention(shape), .. mlp, new(shape.HiddenSize, 2L * shape.HiddenSize, PartSplit.None), new(shape.HiddenSize, 1, PartSplit.None) { Count = 3 }];
    }

    private static IEnumerable<WeightPart> Attention(ModelShape shape)
    {
        long hidden = shape.HiddenSize;
        // Before attention and before the MLP.
        yield return new(hidden, 1, PartSplit.None) { Count = 2 };
        if (shape.Latent is { } latent)
        {
            long query = (long)shape.Heads * (latent.PlainDim + latent.RotaryDim);
            if (latent.QueryRank is { } rank)
            {
                yield return Matrix(rank, hidden, PartSplit.None);
                yield return new(rank, 1, PartSplit.None);
                yield return Matrix(query, rank, PartSplit.Even);
            }
            else
            {
                yield return Matrix(query, hidden, PartSplit.Even);
            }

            yield return Matrix(latent.KvRank + latent.RotaryDim, hidden, PartSplit.None);
            yield return new(latent.KvRank, 1, PartSplit.None);
            yield return Matrix((long)shape.Heads * (latent.PlainDim + latent.ValueDim), latent.KvRank, PartSplit.Even) with { IsWidened = true };
            yield return Matrix(hidden, (long)shape.Heads * latent.ValueDim, PartSplit.Even) with { SplitsColumns = true };
            yield break;
        }

        var (queries, keys) = ((long)shape.Heads * shape.HeadDim, (long)shape.KvHeads * shape.HeadDim);
        yield return Matrix(queries, hidden, PartSplit.Even);
        yield return Matrix(keys, hidden, PartSplit.KvHeads) with { Count = 2 };
        yield return Matrix(hidden, queries, PartSplit.Even) with { SplitsColumns = true };
        if (shape.HasQkvBias)
        {
            yield return new(queries, 1, PartSplit.Even);
            yield return new(keys, 1, PartSplit.KvHeads) { Count = 2 };
        }

        if (shape.HasOutputBias)
            yield return new(hidden, 1, PartSplit.None);
        if (shape.HasQkNorm)
            yield return new(shape.HeadDim, 1, PartSplit.None) { Count = 2 };
    }

    private static IEnumerable<WeightPart> Mlp(ModelShape shape, long width, long count = 1, long? active = null)
    {
        yield return Matrix(width, shape.HiddenSize, PartSplit.Even) with { Count = 2 * count, Active = 2 * active, PerExpert = 2 };
        yield return Matrix(shape.HiddenSize, width, PartSplit.Even) with { SplitsColumns = true, Count = count, Active = active };
        if (!shape.HasMlpBias)
            yield break;
        yield return new(width, 1, PartSplit.Even) { Count = 2 * count, Active = 2 * active, PerExpert = 2 };
        yield return new(shape.HiddenSize, 1, PartSplit.None) { Count = count, Active = active };
    }

    private static IEnumerable<WeightPart> ExpertsOf(ModelShape shape, ExpertShape experts)
    {
        yield return new(experts.Count, shape.HiddenSize, PartSplit.None) { ElementBytes = sizeof(float) };
        if (experts.HasRouterBias)
            yield return new(experts.Count, 1, PartSplit.None) { ElementBytes = sizeof(float) };
        foreach (var part in Mlp(shape, experts.Width, experts.Count, experts.PerToken))
            yield return (shape.SpreadsExperts ? part with { Split = PartSplit.Count, Redundant = shape.RedundantExperts * part.PerExpert } : part) with { IsOfExperts = true };
        if (experts.SharedWidth > 0)
        {
            foreach (var part in Mlp(shape, experts.SharedWidth))
                yield return part;
        }

        if (experts.HasSharedGate)
            yield return new(1, shape.HiddenSize, PartSplit.None);
    }

    private static WeightPart Matrix(long rows, long columns, PartSplit split) => new(rows, columns, split) { IsQuantised = true };
}
