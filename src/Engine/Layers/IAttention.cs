using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The attention of a decoder layer.</summary>
internal interface IAttention
{
    /// <summary>What it caches for every token on this rank.</summary>
    KvLayerSpec Cache { get; }

    /// <summary>
    /// Rows of the largest decode step that can be recorded (<see cref="IGraphCapture"/>), once the weights are loaded; 0: none can.
    /// </summary>
    int MaxRecordedRows => int.MaxValue;

    /// <summary>
    /// Stores the tokens' keys and values in the cache, and adds the attention over the normalised residual stream [tokens, hidden] to the
    /// stream.
    /// </summary>
    void AddTo(Tensor residual, RmsNorm norm, ForwardContext forward);
}
