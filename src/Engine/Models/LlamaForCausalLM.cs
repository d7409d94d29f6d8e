using LocalLlm.Layers;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>
/// The Llama decoder, and with it its close relatives: Mistral (sliding window), Qwen2 (biases on q, k and v) and Qwen3 (norms on
/// query and key heads). What differs between them is in <see cref="ModelConfig"/>.
/// </summary>
internal sealed class LlamaForCausalLM : ICausalLanguageModel
{
    private readonly VocabParallelEmbedding _embedding;
    private readonly DecoderLayer[] _layers;
    private readonly RmsNorm _norm;
    private readonly ParallelLmHead _head;

    /// <summary>Builds the layers and registers their weights; nothing is loaded yet.</summary>
    public LlamaForCausalLM(ModelConfig config, LayerContext context, int maxModelLen, int maxStepTokens)
    {
        var epsilon = (float)config.RmsNormEps;
        VocabularySize = config.VocabSize;
        Rotary = new(config.Rope, config.HeadDim, config.MaxPositionEmbeddings, maxModelLen, maxStepTokens);
        _embedding = new(context, "model.embed_tokens", config.VocabSize, config.HiddenSize);
        _layers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(layer => CreateLayer(config, context, layer, epsilon))];
        _norm = new(context, "model.norm", config.HiddenSize, epsilon);
        _head = new(context, config.TieWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight", config.VocabSize, config.HiddenSize);

        // Buffers that older checkpoints saved, and the second name of a tied matrix.
        context.Weights.Ignore(name => name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal));
        if (config.TieWordEmbeddings)
            context.Weights.Ignore(name => name == "lm_head.weight");
    }

    /// <inheritdoc/>
    public IReadOnlyList<AttentionShape> AttentionShapes => [.. _layers.Select(layer => layer.Attention.Shape)];

    /// <inheritdoc/>
    public RotaryEmbedding Rotary { get; }

    /// <inheritdoc/>
    public int VocabularySize { get; }

    /// <inheritdoc/>
    public Tensor Forward(Tensor ids, ForwardContext context)
    {
        var residual = _embedding.Forward(ids); // [tokens, hidden]
        foreach (var layer in _layers)
        {
            // Intermediates of a layer are dropped with it.
            using var scope = NewDisposeScope();
            layer.Forward(residual, context);
        }

        return residual;
    }

    /// <inheritdoc/>
    public Tensor ComputeLogits(Tensor hidden) => _head.Forward(hidden, _norm);

    /// <inheritdoc/>
    public void Dispose()
    {
        Rotary.Dispose();
        _embedding.Dispose();
        foreach (var layer in _layers)
            layer.Dispose();
        _norm.Dispose();
        _head.Dispose();
    }

    private DecoderLayer CreateLayer(ModelConfig config, LayerContext context, int layer, float epsilon)
    {
        var prefix = $"model.layers.{layer}";
        var options = new AttentionOptions(
            config.HiddenSize,
            config.NumAttentionHeads,
            config.NumKeyValueHeads,
            config.HeadDim,
            config.AttentionBias,
            config.AttentionOutputBias,
            config.QkNorm ? epsilon : null,
            config.SlidingWindowAt(layer));
        return new(
            new(context, $"{prefix}.input_layernorm", config.HiddenSize, epsilon),
            new(context, $"{prefix}.self_attn", layer, options, Rotary.Table),
            new(context, $"{prefix}.post_attention_layernorm", config.HiddenSize, epsilon),
            new(context, $"{prefix}.mlp", config.HiddenSize, config.IntermediateSize, config.MlpBias));
    }
}
