using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Models.XlmRoberta;

/// <summary>
/// XLM-RoBERTa (Conneau et al., 2020), the encoder of bge-m3: word, position and token-type embeddings, and post-norm layers. The texts of
/// a batch stand one after the other, so nothing is computed for padding. As in fairseq, positions begin after the padding id.
/// </summary>
internal sealed class XlmRobertaModel : IEncoderModel
{
    private readonly XlmRobertaConfig _config;
    private readonly LayerContext _context;
    private readonly LayerNorm _norm;
    private readonly EncoderLayer[] _layers;
    private readonly VocabParallelEmbedding _words;
    private readonly LoadedWeight<Tensor> _positions;
    private readonly LoadedWeight<Tensor> _type;

    /// <summary>Builds the layers and registers their weights; nothing is loaded yet.</summary>
    public XlmRobertaModel(XlmRobertaConfig config, LayerContext context)
    {
        _config = config;
        _context = context;
        var width = config.HiddenSize;
        _words = new(context, "embeddings.word_embeddings", config.VocabSize, width);
        _positions = context.Weights.Add(WeightSpec.Whole("embeddings.position_embeddings.weight", config.PositionRows, width),
            context.Ops.ToDevice);
        // All tokens are of the first type.
        _type = context.Weights.Add(WeightSpec.Whole("embeddings.token_type_embeddings.weight", config.TypeVocabSize, width),
            table => context.Ops.ToDevice(table.narrow(0, 0, 1)));
        _norm = new(context, "embeddings.LayerNorm", width, config.LayerNormEps);
        _layers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(layer => new EncoderLayer(context, $"encoder.layer.{layer}", width, config.IntermediateSize, config.NumAttentionHeads, config.LayerNormEps))];
        // bge-m3 does not use the pooler; older checkpoints saved the position ids.
        context.Weights.Ignore(name => name.StartsWith("pooler.", StringComparison.Ordinal) || name == "embeddings.position_ids");
    }

    /// <inheritdoc/>
    public Tensor Forward(IReadOnlyList<int[]> texts)
    {
        using var spans = new TextSpans([.. texts.Select(text => text.Length)]);
        var (tokens, positions) = (new int[spans.Starts[^1]], new int[spans.Starts[^1]]);
        for (var text = 0; text < texts.Count; text++)
        {
            var start = spans.Starts[text];
            texts[text].CopyTo(tokens, start);
            for (var i = 0; i < texts[text].Length; i++)
                positions[start + i] = _config.PadTokenId + 1 + i;
        }

        var ids = tensor(tokens, ScalarType.Int32).to(_context.Ops.Device);
        var places = tensor(positions, ScalarType.Int32).to(_context.Ops.Device);
        var x = _norm.Forward(_words.Lookup(ids).AddInPlace(_positions.Value.index_select(0, places)).AddInPlace(_type.Value));
        foreach (var layer in _layers)
        {
            // Frees a layer's intermediates with it.
            using var scope = NewDisposeScope();
            x = layer.Forward(x, spans).MoveToOuterDisposeScope();
        }

        return x;
    }

    /// <inheritdoc/>
    public void Dispose() => _context.Weights.Dispose();
}
