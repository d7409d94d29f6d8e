using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Models.Deepseek;

/// <summary>
/// DeepSeek-V3's layer of multi-token prediction: the norms of the next token's embedding and of the model's output, side by side, are
/// projected to one vector, which a decoder layer of its own turns into a prediction. Embedding and head are the model's. (The released
/// checkpoints feed the embedding first, and the model's output behind its last norm, as vLLM and SGLang do.)
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

    /// <summary>Registers the weights of <c>model.layers.N</c>, N the number of the model's layers.</summary>
    public DeepseekPredictor(DeepseekConfig config, LayerContext context, PredictorParts parts, DecoderLayerFactory createLayer)
    {
        (_context, _parts) = (context, parts);
        var (prefix, hidden, epsilon) = ($"model.layers.{config.NumHiddenLayers}", config.HiddenSize, (float)config.RmsNormEps);
        _embeddingNorm = new(context, $"{prefix}.enorm", hidden, epsilon);
        _hiddenNorm = new(context, $"{prefix}.hnorm", hidden, epsilon);
        _headNorm = new(context, $"{prefix}.shared_head.norm", hidden, epsilon);
        // Released unquantised, whatever the layers are.
        _projection = UnquantizedLinearMethod.Instance.Create(context, [WeightSpec.Whole($"{prefix}.eh_proj.weight", hidden, 2L * hidden)], [], LinearRole.LatentDown);
        _layer = createLayer(config.NumHiddenLayers, parts.Cache, parts.Rotary);
    }

    /// <summary>What it keeps of a token.</summary>
    public KvLayerSpec Cache => _layer.Cache;

    /// <inheritdoc/>
    public Tensor Forward(Tensor hidden, bool isOfModel, Tensor nextIds, ForwardContext context)
    {
        using var scope = NewDisposeScope();
        var (ops, width) = (_context.Ops, hidden.size(1));
        // A device may keep one buffer for the results of norms and of each product, so each is copied before the next.
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
