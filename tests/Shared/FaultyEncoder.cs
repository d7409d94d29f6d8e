using LocalLlm.Execution;

namespace LocalLlm.Tests.Execution;

/// <summary>An encoder that fails the steps that the test chooses.</summary>
/// <param name="inner">Runs the other steps.</param>
/// <param name="fails">Whether a step with these texts fails.</param>
internal sealed class FaultyEncoder(IEncoderExecutor inner, Func<IReadOnlyList<int[]>, bool> fails) : IEncoderExecutor
{
    public EmbeddingKinds Kinds => inner.Kinds;

    public int Dimensions => inner.Dimensions;

    public int MaxModelLength => inner.MaxModelLength;

    public TimeSpan? StepTimeout => inner.StepTimeout;

    public int StepTokens => inner.StepTokens;

    public TextEmbedding?[] Run(IReadOnlyList<int[]> texts, IReadOnlyList<EmbeddingKinds> kinds, IReadOnlySet<int> specialIds) =>
        fails(texts) ? throw new InvalidOperationException("secret: the device is lost") : inner.Run(texts, kinds, specialIds);

    public void Dispose() => inner.Dispose();
}
