using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Pre-norm decoder layer: attention, then the MLP, each added to the residual stream.</summary>
internal sealed class DecoderLayer(RmsNorm inputNorm, Attention attention, RmsNorm postAttentionNorm, GatedMlp mlp) : IDisposable
{
    /// <summary>The attention.</summary>
    public Attention Attention { get; } = attention;

    /// <summary>Runs the layer on the residual stream [tokens, hidden], in place.</summary>
    public void Forward(Tensor residual, ForwardContext context)
    {
        Attention.AddTo(residual, inputNorm, context);
        mlp.AddTo(residual, postAttentionNorm);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        inputNorm.Dispose();
        Attention.Dispose();
        postAttentionNorm.Dispose();
        mlp.Dispose();
    }
}
