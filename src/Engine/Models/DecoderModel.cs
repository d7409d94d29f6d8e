using LocalLlm.Layers;
using LocalLlm.Models.Rotary;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>Builds a layer of a decoder and registers its weights.</summary>
/// <param name="layer">Index over all stages; the checkpoint names it <c>model.layers.N</c>.</param>
/// <param name="cache">Index of its cache on this rank.</param>
/// <param name="rotary">The position embeddings, owned by the model.</param>
internal delegate DecoderLayer DecoderLayerFactory(int layer, int cache, RotaryTable rotary);

/// <summary>What an <see cref="ITokenPredictor"/> shares with its model.</summary>
/// <param name="Embedding">The model's token embedding.</param>
/// <param name="Norm">The norm after the model's last layer.</param>
/// <param name="Head">The output head.</param>
/// <param name="Cache">Index of the predictor's cache on this rank.</param>
/// <param name="Rotary">The position embeddings.</param>
internal sealed record PredictorParts(VocabParallelEmbedding Embedding, RmsNorm Norm, ParallelLmHead Head, int Cache, RotaryTable Rotary);

/// <summary>A decoder: embedding, layers with rotary positions (which its family builds), norm, output head.</summary>
internal abstract class DecoderModel : ICausalLanguageModel
{
    private readonly RotaryEmbedding _rotary;
    private readonly VocabParallelEmbedding? _embedding; // on the first stage
    private readonly DecoderLayer[] _layers; // of this stage
    private readonly RmsNorm? _norm; // on the last stage
    private readonly ParallelLmHead? _head; // on the last stage
    private readonly LayerContext _context;
    private readonly int _hiddenSize;

    /// <summary>Builds the layers and registers their weights; nothing is loaded yet.</summary>
    protected DecoderModel(TransformerConfig config, LayerContext context, ModelLimits limits, DecoderLayerFactory createLayer)
    {
        _context = context;
        _hiddenSize = config.HiddenSize;
        VocabularySize = config.VocabSize;
        var stage = context.Stage;
        _rotary = new(config.Rope, config.RotaryDim, config.MaxPositionEmbeddings, limits.MaxModelLen, limits.MaxStepTokens);
        if (stage.IsFirst)
            _embedding = new(context, "model.embed_tokens", config.VocabSize, config.HiddenSize);
        _layers = [.. Enumerable.Range(0, config.NumHiddenLayers).Where(stage.Holds)
            .Select(layer => createLayer(layer, layer - stage.FirstLayer, _rotary.Table))];
        if (stage.IsLast)
        {
            _norm = new(context, "model.norm", config.HiddenSize, (float)config.RmsNormEps);
            var weight = config.TieWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
            _head = new(context, weight, config.VocabSize, config.HiddenSize);
        }

        KvCache = new([.. _layers.Select(layer => layer.Cache)]);

        // Buffers that older checkpoints saved, and the duplicate name of a tied matrix.
        context.Weights.Ignore(name => name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal));
        if (config.TieWordEmbeddings)
            context.Weights.Ignore(name => name == "lm_head.weight");
        context.Weights.Ignore(name => IsOfAnotherStage(name, stage, config.NumHiddenLayers));
    }

    /// <inheritdoc/>
    public KvCacheSpec KvCache { get; private set; }

    /// <inheritdoc/>
    public ITokenPredictor? Predictor { get; private set; }

    /// <inheritdoc/>
    public int VocabularySize { get; }

    /// <inheritdoc/>
    public bool GivesLogits => _head is not null;

    /// <inheritdoc/>
    public int? PromptLengthThreshold => _rotary.PromptLengthThreshold;

    /// <inheritdoc/>
    public double? ExpertBalance => _context.ExpertUsage.Balance;

    /// <inheritdoc/>
    public void ReadExpertUsage() => _context.Experts.ReadUsage(_context.ExpertUsage.Layers);

    /// <inheritdoc/>
    public void ForgetExpertUsage()
    {
        _context.Experts.ForgetUsage();
        _context.ExpertUsage.Clear();
        _context.Rebalancing?.ForgetLoads();
    }

    /// <inheritdoc/>
    public int MaxRecordedRows => _layers.Select(layer => layer.MaxRecordedRows).Append(_head?.MaxRecordedRows ?? int.MaxValue).Min();

    /// <inheritdoc/>
    public void PreparePositions() => _rotary.PrepareAll();

    /// <inheritdoc/>
    public void BeginStep() => _rotary.BeginStep();

    /// <inheritdoc/>
    public void EndStep() => _context.Rebalancing?.EndStep();

    /// <inheritdoc/>
    public void AddPositions(AttentionMetadata step, int firstPosition, int count, int promptLength) =>
        _rotary.AddRows(step.PositionRows, firstPosition, count, promptLength);

    /// <inheritdoc/>
    public Tensor Forward(Tensor ids, ForwardContext context)
    {
        // A data-parallel group without tokens only computes for the other groups.
        var isEmpty = context.Rows is not null && ids.size(0) == 0;
        // [tokens, hidden]
        var residual = isEmpty ? zeros([0, _hiddenSize], _context.ActivationType, ids.device)
            : _embedding?.Forward(ids) ?? _context.Previous!.Receive(ids.size(0), _hiddenSize, _context.ActivationType);
        foreach (var layer in _layers)
        {
            // Frees a layer's intermediates with it.
            using var scope = NewDisposeScope();
            layer.Forward(residual, context);
        }

        if (!isEmpty)
            _context.Next?.Send(residual);
        return residual;
    }

    /// <inheritdoc/>
    public Tensor ComputeLogits(Tensor hidden) =>
        (_head ?? throw new InvalidOperationException("only the last stage gives logits")).Forward(hidden, _norm!);

    /// <inheritdoc/>
    public void Dispose()
    {
        _rotary.Dispose();
        _context.Rebalancing?.Dispose();
        _context.Weights.Dispose();
    }

    /// <summary>Adds the token predictor on the last stage.</summary>
    /// <param name="create">
    /// Builds it from the embedding (one of its own if the model's is on another stage), the norm, the head, the index of its cache and the
    /// position embeddings.
    /// </param>
    protected void AddPredictor(Func<PredictorParts, (ITokenPredictor Predictor, KvLayerSpec Cache)> create)
    {
        if (_norm is null || _head is null)
            return;
        var embedding = _embedding ?? new(_context, "model.embed_tokens", VocabularySize, _hiddenSize);
        (Predictor, var cache) = create(new(embedding, _norm, _head, _layers.Length, _rotary.Table));
        KvCache = new([.. KvCache.Layers, cache]);
    }

    private static bool IsOfAnotherStage(string name, PipelineStage stage, int numLayers)
    {
        if (name is "model.embed_tokens.weight")
            return !stage.IsFirst;
        if (name is "model.norm.weight" or "lm_head.weight")
            return !stage.IsLast;
        return WeightNames.NumberAfter(WeightNames.Layers, name) is { } layer && layer < numLayers && !stage.Holds(layer);
    }
}
