using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>
/// Learned positions. The first layer has keys and values of unequal width and an unquantised gated MLP. The other layers cache one latent
/// vector per token, and their feed-forward networks are stored in 8 bits.
/// </summary>
internal sealed class LatentForCausalLM : ICausalLanguageModel
{
    private const float Epsilon = 1e-6f;
    private readonly LayerContext _context;
    private readonly VocabParallelEmbedding _embedding;
    private readonly LoadedWeight<Tensor> _positions;
    private readonly DecoderLayer[] _layers;
    private readonly RmsNorm _norm;
    private readonly ParallelLmHead _head;

    public LatentForCausalLM(LatentConfig config, LayerContext context)
    {
        _context = context;
        VocabularySize = config.VocabSize;
        _embedding = new(context, "embed", config.VocabSize, config.HiddenSize);
        _positions = context.Weights.Add(WeightSpec.Whole("positions.weight", config.Positions, config.HiddenSize), context.Ops.ToDevice);
        _layers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(layer => CreateLayer(config, layer))];
        _norm = new(context, "norm", config.HiddenSize, Epsilon);
        _head = new(context, "head.weight", config.VocabSize, config.HiddenSize);
        KvCache = new([.. _layers.Select(layer => layer.Cache)]);
    }

    public KvCacheSpec KvCache { get; }

    public int VocabularySize { get; }

    public int? PromptLengthThreshold => null;

    // Attention reads the step on the host.
    public int MaxRecordedRows => 0;

    public void PreparePositions()
    {
    }

    public void BeginStep()
    {
    }

    public void AddPositions(AttentionMetadata step, int firstPosition, int count, int promptLength)
    {
        for (var position = firstPosition; position < firstPosition + count; position++)
            step.PositionRows.Add(position);
    }

    public Tensor Forward(Tensor ids, ForwardContext context)
    {
        var residual = _embedding.Forward(ids); // [tokens, hidden]
        using (var rows = tensor(context.Metadata.PositionRows.Span.ToArray(), device: residual.device))
        using (var positions = _positions.Value.index_select(0, rows))
            residual.add_(positions);
        foreach (var layer in _layers)
        {
            using var scope = NewDisposeScope();
            layer.Forward(residual, context);
        }

        return residual;
    }

    public Tensor ComputeLogits(Tensor hidden) => _head.Forward(hidden, _norm);

    public void Dispose() => _context.Weights.Dispose();

    private DecoderLayer CreateLayer(LatentConfig config, int layer)
    {
        var prefix = $"layers.{layer}";
        IAttention attention = layer == 0
            ? new UnequalAttention(_context, prefix, config)
            : new LatentAttention(_context, prefix, layer, config);
        var stored = layer == 0 ? _context : _context with { LinearMethod = RowScaledInt8Method.Instance };
        IFeedForward feedForward = layer == 0
            ? new GatedMlp(stored, $"{prefix}.mlp", config.HiddenSize, config.IntermediateSize, bias: false)
            : new SquaredReluMlp(stored, prefix, config);
        return new(new(_context, $"{prefix}.attention_norm", config.HiddenSize, Epsilon), attention,
            new(_context, $"{prefix}.mlp_norm", config.HiddenSize, Epsilon), feedForward);
    }
}
