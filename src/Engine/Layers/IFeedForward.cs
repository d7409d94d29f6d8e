using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The feed-forward network of a decoder layer.</summary>
internal interface IFeedForward
{
    /// <summary>
    /// Whether other data-parallel groups wait for this rank here, so that it is called also in a step in which its own group has no
    /// tokens.
    /// </summary>
    bool ServesOtherGroups => false;

    /// <summary>
    /// Rows of the largest step of single tokens that can be recorded (<see cref="IGraphCapture"/>), once the weights are loaded; 0: none.
    /// </summary>
    int MaxRecordedRows => int.MaxValue;

    /// <summary>Adds the network of the normalised residual stream to it: [tokens, hidden].</summary>
    void AddTo(Tensor residual, RmsNorm norm, ForwardContext context);
}
