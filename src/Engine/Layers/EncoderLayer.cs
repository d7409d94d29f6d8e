using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// A layer of BERT's kind: bidirectional attention and a feed-forward network with GELU, each added to its input and normalised afterwards (post-norm).
/// </summary>
internal sealed class EncoderLayer : IDisposable
{
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
        _heads = heads;
        _qkv = new(context, [$"{prefix}.attention.self.query", $"{prefix}.attention.self.key", $"{prefix}.attention.self.value"], hiddenSize, hiddenSize);
        _attentionOutput = new(context, [$"{prefix}.attention.output.dense"], hiddenSize, hiddenSize);
        _attentionNorm = new(context, $"{prefix}.attention.output.LayerNorm", hiddenSize, epsilon);
        _intermediate = new(context, [$"{prefix}.intermediate.dense"], hiddenSize, intermediateSize);
        _output = new(context, [$"{prefix}.output.dense"], intermediateSize, hiddenSize);
        _outputNorm = new(context, $"{prefix}.output.LayerNorm", hiddenSize, epsilon);
    }

    /// <summary>Texts one after the other, without padding.</summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="lengths">Tokens of each text; together all of x.</param>
    /// <returns>[tokens, hidden].</returns>
    public Tensor Forward(Tensor x, IReadOnlyList<int> lengths)
    {
        var attended = _attentionNorm.Forward(_attentionOutput.Forward(Attend(_qkv.Forward(x), lengths)).add_(x));
        var inner = nn.functional.gelu(_intermediate.Forward(attended));
        return _outputNorm.Forward(_output.Forward(inner).add_(attended));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _qkv.Dispose();
        _attentionOutput.Dispose();
        _attentionNorm.Dispose();
        _intermediate.Dispose();
        _output.Dispose();
        _outputNorm.Dispose();
    }

    // qkv: [tokens, 3 · hidden] → [tokens, hidden]. Neighbours of one length are one batch.
    private Tensor Attend(Tensor qkv, IReadOnlyList<int> lengths)
    {
        var hidden = qkv.shape[1] / 3;
        var result = empty([qkv.shape[0], hidden], qkv.dtype, qkv.device);
        var first = 0L;
        for (var text = 0; text < lengths.Count;)
        {
            var length = lengths[text];
            var texts = 1;
            while (text + texts < lengths.Count && lengths[text + texts] == length)
                texts++;
            var rows = (long)texts * length;
            // [texts, length, 3, heads, head_dim] → three of [texts, heads, length, head_dim]
            var split = qkv.narrow(0, first, rows).view(texts, length, 3, _heads, hidden / _heads).permute(2, 0, 3, 1, 4);
            var attended = nn.functional.scaled_dot_product_attention(split[0], split[1], split[2]);
            result.narrow(0, first, rows).copy_(attended.transpose(1, 2).reshape(rows, hidden));
            first += rows;
            text += texts;
        }

        return result;
    }
}
