using LocalLlm.Layers;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>A model that predicts the next token. Lives on one rank; called on its worker's thread only.</summary>
internal interface ICausalLanguageModel : IDisposable
{
    /// <summary>The attention layers' sizes on this rank, in the order of their caches.</summary>
    IReadOnlyList<AttentionShape> AttentionShapes { get; }

    /// <summary>The position embeddings of all attention layers.</summary>
    RotaryEmbedding Rotary { get; }

    /// <summary>Width of a row of logits.</summary>
    int VocabularySize { get; }

    /// <summary>ids [tokens] → residual stream after the last layer [tokens, hidden]; writes the tokens' keys and values to the caches.</summary>
    Tensor Forward(Tensor ids, ForwardContext context);

    /// <summary>Rows of the residual stream [rows, hidden] → logits [rows, vocabulary] in the activation type.</summary>
    Tensor ComputeLogits(Tensor hidden);
}
