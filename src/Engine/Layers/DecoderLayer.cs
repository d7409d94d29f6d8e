using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Pre-norm decoder layer: attention, then a feed-forward network, each added to the residual stream.</summary>
internal sealed class DecoderLayer(RmsNorm inputNorm, IAttention attention, RmsNorm postAttentionNorm, IFeedForward feedForward)
{
    /// <summary>What the attention caches for every token on this rank.</summary>
    public KvLayerSpec Cache => attention.Cache;

    /// <inheritdoc cref="IAttention.MaxRecordedRows"/>
    public int MaxRecordedRows => Math.Min(attention.MaxRecordedRows, feedForward.MaxRecordedRows);

    /// <summary>
    /// Runs the layer on the residual stream [tokens, hidden], in place. Without tokens it only does the work that other data-parallel
    /// groups wait for.
    /// </summary>
    public void Forward(Tensor residual, ForwardContext context)
    {
        var isEmpty = context.Rows is not null && residual.size(0) == 0;
        if (!isEmpty)
            attention.AddTo(residual, inputNorm, context);
        if (!isEmpty || feedForward.ServesOtherGroups)
            feedForward.AddTo(residual, postAttentionNorm, context);
    }
}
