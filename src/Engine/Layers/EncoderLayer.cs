using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// A layer of an encoder: bidirectional attention and a feed-forward network with GELU, each added to its input and normalised afterwards (post-norm).
/// </summary>
internal sealed class EncoderLayer
{
    private readonly IFusedOps _fused;
    private readonly int _heads;
    private readonly Dense _qkv;
    private readonly Dense _attentionOutput;
    private readonly LayerNorm _attentionNorm;
    private readonly Dense _intermediate;
    private readonly Dense _output;
    private readonly LayerNorm _outputNorm;

    /// <summary>Registers the weights below <paramref name="prefix"/> under transformers' names.</summary>
    public EncoderLayer(LayerContext context, string prefix, int hiddenSize, int intermediateSize, int heads, double epsilon)
    {
        _fused = context.Fused;
        _heads = heads;
        _qkv = new(context, [$"{prefix}.attention.self.query", $"{prefix}.attention.self.key", $"{prefix}.attention.self.value"], hiddenSize, hiddenSize, LinearRole.Qkv);
        _attentionOutput = new(context, [$"{prefix}.attention.output.dense"], hiddenSize, hiddenSize);
        _attentionNorm = new(context, $"{prefix}.attention.output.LayerNorm", hiddenSize, epsilon);
        _intermediate = new(context, [$"{prefix}.intermediate.dense"], hiddenSize, intermediateSize, LinearRole.GateUp);
        _output = new(context, [$"{prefix}.output.dense"], intermediateSize, hiddenSize);
        _outputNorm = new(context, $"{prefix}.output.LayerNorm", hiddenSize, epsilon);
    }

    /// <summary>Texts one after the other, without padding.</summary>
    /// <param name="x">[tokens, hidden]; may be overwritten.</param>
    /// <param name="texts">Which rows are a text; together all of x.</param>
    /// <returns>[tokens, hidden].</returns>
    public Tensor Forward(Tensor x, TextSpans texts)
    {
        var attended = _attentionNorm.ForwardAdd(_attentionOutput.Forward(_fused.TextAttention(_qkv.Forward(x), texts, _heads)), x);
        return _outputNorm.ForwardAdd(_output.Forward(_fused.Gelu(_intermediate.Forward(attended))), attended);
    }
}
