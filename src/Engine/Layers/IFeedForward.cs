using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The feed-forward network of a decoder layer.</summary>
internal interface IFeedForward
{
    /// <summary>
    /// Whether other data-parallel groups wait for this rank here. If so, it is called even in a step in which its own group has no tokens.
    /// </summary>
    bool ServesOtherGroups => false;

    /// <summary>
    /// Rows of the largest decode step that can be recorded (<see cref="IGraphCapture"/>), once the weights are loaded; 0: none can.
    /// </summary>
    int MaxRecordedRows => int.MaxValue;

    /// <summary>Applies the network to the normalised residual stream [tokens, hidden] and adds the result to the stream.</summary>
    void AddTo(Tensor residual, RmsNorm norm, ForwardContext context);
}
