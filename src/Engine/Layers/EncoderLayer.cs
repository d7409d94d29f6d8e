using LocalLlm.Ops;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// A layer of an encoder: bidirectional attention and a feed-forward network with GELU, each added to its input and normalised afterwards
/// (post-norm). Heads and inner features are split over the ranks.
/// </summary>
internal sealed class EncoderLayer
{
    private readonly IFusedOps _fused;
    private readonly int _heads;
    private readonly ColumnParallelLinear _qkv;
    private readonly RowParallelLinear _attentionOutput;
    private readonly LayerNorm _attentionNorm;
    private readonly ColumnParallelLinear _intermediate;
    private readonly RowParallelLinear _output;
    private readonly LayerNorm _outputNorm;

    /// <summary>Registers the weights below <paramref name="prefix"/> under transformers' names.</summary>
    public EncoderLayer(LayerContext context, string prefix, int hiddenSize, int intermediateSize, int heads, double epsilon)
    {
        _fused = context.Fused;
        _heads = (int)ShardRange.Of(heads, context.Collectives, "The number of attention heads").Length;
        string[] projections = [$"{prefix}.attention.self.query", $"{prefix}.attention.self.key", $"{prefix}.attention.self.value"];
        _qkv = new(context, projections, hiddenSize, hiddenSize, bias: true, LinearRole.Qkv);
        _attentionOutput = new(context, $"{prefix}.attention.output.dense", hiddenSize, hiddenSize, bias: true);
        _attentionNorm = new(context, $"{prefix}.attention.output.LayerNorm", hiddenSize, epsilon);
        _intermediate = new(context, [$"{prefix}.intermediate.dense"], hiddenSize, intermediateSize, bias: true);
        _output = new(context, $"{prefix}.output.dense", intermediateSize, hiddenSize, bias: true);
        _outputNorm = new(context, $"{prefix}.output.LayerNorm", hiddenSize, epsilon);
    }

    /// <summary>Runs the layer on several texts, one after the other, without padding.</summary>
    /// <param name="x">[tokens, hidden]; may be overwritten.</param>
    /// <param name="texts">Which rows each text has; together they cover all of x.</param>
    /// <returns>[tokens, hidden].</returns>
    public Tensor Forward(Tensor x, TextSpans texts)
    {
        var attended = _attentionNorm.ForwardAdd(_attentionOutput.Forward(_fused.TextAttention(_qkv.Forward(x), texts, _heads)), x);
        return _outputNorm.ForwardAdd(_output.Forward(_fused.Gelu(_intermediate.Forward(attended))), attended);
    }
}
