using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The attention of a decoder layer.</summary>
internal interface IAttention
{
    /// <summary>What it keeps of every token on this rank.</summary>
    KvLayerSpec Cache { get; }

    /// <summary>
    /// Stores the tokens' part of the cache, and adds the attention of the normalised residual stream to it: [tokens, hidden].
    /// </summary>
    void AddTo(Tensor residual, RmsNorm norm, ForwardContext forward);
}
