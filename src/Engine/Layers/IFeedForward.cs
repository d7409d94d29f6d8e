using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The feed-forward network of a decoder layer.</summary>
internal interface IFeedForward
{
    /// <summary>Adds the network of the normalised residual stream to it: [tokens, hidden].</summary>
    void AddTo(Tensor residual, RmsNorm norm);
}
