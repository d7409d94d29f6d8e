using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Models.Deepseek;

/// <summary>
/// DeepSeek-V3's layer of multi-token prediction. It normalises the next token's embedding and the model's output, concatenates them and
/// projects them to one vector, which its own decoder layer turns into a prediction. It shares the model's embedding and head. (As in vLLM
/// and SGLang, the embedding comes first and the model's output is taken after its last norm; the released checkpoints need this.)
/// </summary>
internal sealed class DeepseekPredictor : ITokenPredictor
{
    private readonly LayerContext _context;
    private readonly PredictorParts _parts;
    private readonly RmsNorm _embeddingNorm;
    private readonly RmsNorm _hiddenNorm;
    private readonly RmsNorm _headNorm;
    private readonly ILinear _projection;
    private readonly DecoderLayer _layer;

    /// <summary>Registers the weights of <c>model.layers.N</c>, where N is the number of the model's layers.</summary>
    public DeepseekPredictor(DeepseekConfig config, LayerContext context, PredictorParts parts, DecoderLayerFactory createLayer)
    {
        (_context, _parts) = (context, parts);
        var (prefix, hidden, epsilon) = ($"model.layers.{config.NumHiddenLayers}", config.HiddenSize, (float)config.RmsNormEps);
        _embeddingNorm = new(context, $"{prefix}.enorm", hidden, epsilon);
        _hiddenNorm = new(context, $"{prefix}.hnorm", hidden, epsilon);
        _headNorm = new(context, $"{prefix}.shared_head.norm", hidden, epsilon);
        // Checkpoints store it unquantised, whatever their layers are.
        _projection = UnquantizedLinearMethod.Instance.Create(context, [WeightSpec.Whole($"{prefix}.eh_proj.weight", hidden, 2L * hidden)], [], LinearRole.LatentDown);
        _layer = createLayer(config.NumHiddenLayers, parts.Cache, parts.Rotary);
    }

    /// <summary>What it caches for a token.</summary>
    public KvLayerSpec Cache => _layer.Cache;

    /// <inheritdoc/>
    public Tensor Forward(Tensor hidden, bool isOfModel, Tensor nextIds, ForwardContext context)
    {
        using var scope = NewDisposeScope();
        var (ops, width) = (_context.Ops, hidden.size(1));
        // A device may reuse one buffer for the results of all norms and of each product, so each result is copied before the next.
        var joined = empty([hidden.size(0), 2 * width], hidden.dtype, hidden.device);
        joined.narrow(1, 0, width).copy_(ops.RmsNorm(_parts.Embedding.Lookup(nextIds), _embeddingNorm.Weight, _embeddingNorm.Epsilon));
        if (isOfModel)
            hidden = ops.RmsNorm(hidden, _parts.Norm.Weight, _parts.Norm.Epsilon).clone();
        joined.narrow(1, width, width).copy_(ops.RmsNorm(hidden, _hiddenNorm.Weight, _hiddenNorm.Epsilon));
        var residual = _projection.Forward(joined).clone();
        _layer.Forward(residual, context);
        return residual.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor ComputeLogits(Tensor hidden) => _parts.Head.Forward(hidden, _headNorm);
}
