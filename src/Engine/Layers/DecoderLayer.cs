using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Pre-norm decoder layer: attention, then a feed-forward network, each added to the residual stream.</summary>
internal sealed class DecoderLayer(RmsNorm inputNorm, IAttention attention, RmsNorm postAttentionNorm, IFeedForward feedForward)
{
    /// <summary>What the attention keeps of every token on this rank.</summary>
    public KvLayerSpec Cache => attention.Cache;

    /// <summary>Runs the layer on the residual stream [tokens, hidden], in place.</summary>
    public void Forward(Tensor residual, ForwardContext context)
    {
        attention.AddTo(residual, inputNorm, context);
        feedForward.AddTo(residual, postAttentionNorm);
    }
}
