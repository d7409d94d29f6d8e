using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The attention of a decoder layer.</summary>
internal interface IAttention
{
    /// <summary>What it keeps of every token on this rank.</summary>
    KvLayerSpec Cache { get; }

    /// <summary>
    /// Rows of the largest step of single tokens that can be recorded (<see cref="IGraphCapture"/>), once the weights are loaded; 0: none.
    /// </summary>
    int MaxRecordedRows => int.MaxValue;

    /// <summary>
    /// Stores the tokens' part of the cache, and adds the attention of the normalised residual stream to it: [tokens, hidden].
    /// </summary>
    void AddTo(Tensor residual, RmsNorm norm, ForwardContext forward);
}
