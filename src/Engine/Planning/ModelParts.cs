using System.Globalization;
using LocalLlm.Models;
using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>The weights of a decoder, grouped by position: before, in and after the layers. Pure.</summary>
/// <param name="shape">The model.</param>
internal sealed class ModelParts(ModelShape shape)
{
    /// <summary>The model.</summary>
    public ModelShape Shape { get; } = shape;

    /// <summary>The embedding: on the first stage, and also on the last one if the head is tied to it.</summary>
    public IReadOnlyList<WeightPart> Embedding { get; } = [new(shape.VocabSize, shape.HiddenSize, PartSplit.Vocabulary)];

    /// <summary>The output head; empty if it is tied to the embedding.</summary>
    public IReadOnlyList<WeightPart> Head { get; } = shape.IsTied ? [] : [new(shape.VocabSize, shape.HiddenSize, PartSplit.Vocabulary)];

    /// <summary>The norm after the last layer.</summary>
    public IReadOnlyList<WeightPart> FinalNorm { get; } = [new(shape.HiddenSize, 1, PartSplit.None)];

    private readonly IReadOnlyList<WeightPart>[] _layers = LayersOf(shape);

    /// <summary>The layer of multi-token prediction; empty: the model has none.</summary>
    public IReadOnlyList<WeightPart> Prediction { get; } = PredictionOf(shape);

    /// <summary>The sizes that must split evenly over the ranks, and whether all experts of a layer are stored in the same way.</summary>
    public SplitShape Split
    {
        get
        {
            var mixed = Enumerable.Range(0, Shape.Layers + 1).Where(layer => IsMixed(layer < Shape.Layers ? _layers[layer] : Prediction)).Select(layer => (int?)layer);
            return Shape.Split with { MixedExpertLayer = mixed.FirstOrDefault() };
        }
    }

    /// <summary>
    /// Elements per layer that the files' headers list beyond those that the configuration implies; 0: none, or no headers were read.
    /// </summary>
    public long ExtraElementsPerLayer { get; init; }

    /// <summary>The parts of one layer.</summary>
    public IReadOnlyList<WeightPart> Layer(int layer) =>
        ExtraElementsPerLayer == 0 ? _layers[layer] : [.. _layers[layer], new(ExtraElementsPerLayer, 1, PartSplit.None)];

    /// <summary>Whether a layer has a matrix that a module's name refers to.</summary>
    public bool HasModule(string name) => Enumerable.Range(0, Shape.Layers + 1).Any(layer => MayMean(name, layer)
        && (layer < Shape.Layers ? _layers[layer] : Prediction).SelectMany(part => part.Modules).Any(module => QuantizationConfig.Names(name, NameOf(layer, module))));

    /// <summary>All parameters of the model.</summary>
    public long Parameters => Sum(part => part.Elements);

    /// <summary>Parameters used for one token: all except those of experts that it is not routed to.</summary>
    public long ActiveParameters => Sum(part => part.Rows * part.Columns * (part.Active ?? part.Count));

    /// <summary>Bytes of parts on one rank.</summary>
    /// <param name="parts">The parts.</param>
    /// <param name="split">How many ranks split them.</param>
    /// <param name="elementBytes">Bytes of an element of the model's type.</param>
    public long Bytes(IEnumerable<WeightPart> parts, StageSplit split, int elementBytes) =>
        parts.Sum(part => part.BytesOn(split.RanksOf(part), Shape.KvHeads, elementBytes, Shape.Quantisation));

    /// <summary>Bytes of parts on one rank that a step of one token reads.</summary>
    public long ActiveBytes(IEnumerable<WeightPart> parts, StageSplit split, int elementBytes) =>
        parts.Sum(part => part.BytesOn(split.RanksOf(part), Shape.KvHeads, elementBytes, Shape.Quantisation, part.Active));

    private long Sum(Func<WeightPart, long> size) =>
        Enumerable.Range(0, Shape.Layers).Sum(layer => Layer(layer).Sum(size)) + Embedding.Concat(FinalNorm).Concat(Head).Sum(size);

    private static IReadOnlyList<WeightPart>[] LayersOf(ModelShape shape)
    {
        WeightPart[] dense = [.. Attention(shape), .. Mlp(shape, shape.IntermediateSize)];
        WeightPart[] sparse = shape.Experts is { } experts ? [.. Attention(shape), .. ExpertsOf(shape, experts)] : [];
        return [.. Enumerable.Range(0, shape.Layers).Select(layer => StoredAs(shape, layer, shape.HasExperts(layer) ? sparse : dense))];
    }

    // Splits off the modules that a quantised checkpoint keeps in the model's type as separate parts.
    private static IReadOnlyList<WeightPart> StoredAs(ModelShape shape, int layer, IReadOnlyList<WeightPart> parts)
    {
        var names = shape.Quantisation?.Kept.Where(name => MayMean(name, layer)).ToList() ?? [];
        if (names.Count == 0)
            return parts;
        var stored = new List<WeightPart>();
        foreach (var part in parts)
        {
            var kept = part.Modules.Count(module => names.Exists(name => QuantizationConfig.Names(name, NameOf(layer, module))));
            // If only some of the experts are kept, the active and redundant ones are divided in the same proportion.
            var (active, redundant) = (part.Active * kept / part.Count, part.Redundant * kept / part.Count);
            if (kept > 0)
                stored.Add(part with { IsQuantised = false, Count = kept, Active = active, Redundant = redundant });
            if (kept < part.Count)
                stored.Add(part with { Count = part.Count - kept, Active = part.Active - active, Redundant = part.Redundant - redundant });
        }

        return stored;
    }

    private static bool IsMixed(IReadOnlyList<WeightPart> layer) =>
        layer.Where(part => part.IsOfExperts && part.Modules.Count > 0).GroupBy(part => (part.PerExpert, part.SplitsColumns)).Any(group => group.Select(part => part.IsQuantised).Distinct().Count() > 1);

    // Skips names of other layers, because a list may have hundreds.
    private static bool MayMean(string name, int layer) =>
        !name.Contains("layers.", StringComparison.Ordinal) || QuantizationConfig.Names(string.Create(CultureInfo.InvariantCulture, $"layers.{layer}"), name);

    private static string NameOf(int layer, string module) => string.Create(CultureInfo.InvariantCulture, $"model.layers.{layer}.{module}");

    // The embedding and the head are the model's own; the projection is not quantised.
    private static WeightPart[] PredictionOf(ModelShape shape)
    {
        if (shape.PredictionLayers == 0)
            return [];
        var mlp = shape.PredictsByExperts ? ExpertsOf(shape, shape.Experts!) : Mlp(shape, shape.IntermediateSize);
        return [.. StoredAs(shape, shape.Layers, [.. Attention(shape), .. mlp]), new(shape.HiddenSize, 2L * shape.HiddenSize, PartSplit.None), new(shape.HiddenSize, 1, PartSplit.None) { Count = 3 }];
    }

    private static IEnumerable<WeightPart> Attention(ModelShape shape)
    {
        long hidden = shape.HiddenSize;
        // One norm before attention and one before the MLP.
        yield return new(hidden, 1, PartSplit.None) { Count = 2 };
        if (shape.Latent is { } latent)
        {
            long query = (long)shape.Heads * (latent.PlainDim + latent.RotaryDim);
            if (latent.QueryRank is { } rank)
            {
                yield return Matrix(rank, hidden, PartSplit.None, "self_attn.q_a_proj");
                yield return new(rank, 1, PartSplit.None);
                yield return Matrix(query, rank, PartSplit.Even, "self_attn.q_b_proj");
            }
            else
            {
                yield return Matrix(query, hidden, PartSplit.Even, "self_attn.q_proj");
            }

            yield return Matrix(latent.KvRank + latent.RotaryDim, hidden, PartSplit.None, "self_attn.kv_a_proj_with_mqa");
            yield return new(latent.KvRank, 1, PartSplit.None);
            yield return Matrix((long)shape.Heads * (latent.PlainDim + latent.ValueDim), latent.KvRank, PartSplit.Even, "self_attn.kv_b_proj") with { IsWidened = true };
            yield return Matrix(hidden, (long)shape.Heads * latent.ValueDim, PartSplit.Even, "self_attn.o_proj") with { SplitsColumns = true };
            yield break;
        }

        var (queries, keys) = ((long)shape.Heads * shape.HeadDim, (long)shape.KvHeads * shape.HeadDim);
        yield return Matrix(queries, hidden, PartSplit.Even, "self_attn.q_proj");
        yield return Matrix(keys, hidden, PartSplit.KvHeads, "self_attn.k_proj", "self_attn.v_proj");
        yield return Matrix(hidden, queries, PartSplit.Even, "self_attn.o_proj") with { SplitsColumns = true };
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

    private static IEnumerable<WeightPart> Mlp(ModelShape shape, long width) => Mlp(shape, width, ["mlp"]);

    // Several matrices of one shape, with their names.
    private static IEnumerable<WeightPart> Mlp(ModelShape shape, long width, IReadOnlyList<string> names, long? active = null)
    {
        long count = names.Count;
        yield return Matrix(width, shape.HiddenSize, PartSplit.Even, [.. names.SelectMany(name => (string[])[$"{name}.gate_proj", $"{name}.up_proj"])]) with { Active = 2 * active, PerExpert = 2 };
        yield return Matrix(shape.HiddenSize, width, PartSplit.Even, [.. names.Select(name => $"{name}.down_proj")]) with { SplitsColumns = true, Active = active };
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
        foreach (var part in Mlp(shape, experts.Width, [.. Enumerable.Range(0, experts.Count).Select(expert => string.Create(CultureInfo.InvariantCulture, $"mlp.experts.{expert}"))], experts.PerToken))
            yield return (shape.SpreadsExperts ? part with { Split = PartSplit.Count, Redundant = shape.RedundantExperts * part.PerExpert } : part) with { IsOfExperts = true };
        if (experts.SharedWidth > 0)
        {
            foreach (var part in Mlp(shape, experts.SharedWidth, [experts.HasSharedGate ? "mlp.shared_expert" : "mlp.shared_experts"]))
                yield return part;
        }

        if (experts.HasSharedGate)
            yield return new(1, shape.HiddenSize, PartSplit.None);
    }

    private static WeightPart Matrix(long rows, long columns, PartSplit split, params string[] modules) =>
        new(rows, columns, split) { IsQuantised = true, Count = modules.Length, Modules = modules };
}
