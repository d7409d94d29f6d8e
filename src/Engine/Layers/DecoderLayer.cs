using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Pre-norm decoder layer: attention, then the MLP, each added to the residual stream.</summary>
internal sealed class DecoderLayer(RmsNorm inputNorm, Attention attention, RmsNorm postAttentionNorm, GatedMlp mlp) : IDisposable
{
    /// <summary>The attention.</summary>
    public Attention Attention { get; } = attention;

    /// <summary>
    /// The additions to the residual are done by the norm that follows them, so a layer takes what the one before has still to add.
    /// </summary>
    /// <param name="pending">[tokens, hidden] still to be added, or null in the first layer, where the residual is whole.</param>
    /// <param name="residual">[tokens, hidden]; changed in place.</param>
    /// <param name="context">The step.</param>
    /// <returns>[tokens, hidden] for the next norm to add.</returns>
    public Tensor Forward(Tensor? pending, Tensor residual, ForwardContext context)
    {
        var normed = pending is null ? inputNorm.Forward(residual) : inputNorm.Forward(pending, residual);
        var attended = Attention.Forward(normed, context);
        return mlp.Forward(postAttentionNorm.Forward(attended, residual));
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
