using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// The output projection; the vocabulary is split over the ranks. <see cref="LogitsGather"/> gathers what sampling needs.
/// </summary>
internal sealed class ParallelLmHead
{
    private readonly ILinear _matrix;

    /// <summary>
    /// Registers <paramref name="weightName"/> [vocabulary, hidden]: the head's own, or the embedding's when they are tied.
    /// </summary>
    public ParallelLmHead(LayerContext context, string weightName, int vocabularySize, int hiddenSize)
    {
        var shard = ShardRange.OfVocabulary(vocabularySize, context.Collectives);
        _matrix = context.LinearMethod.Create(context,
            [new WeightSpec(weightName, [vocabularySize, hiddenSize], 0, shard.Start, shard.Length)], [], LinearRole.Head);
    }

    /// <inheritdoc cref="ILinear.MaxRecordedRows"/>
    public int MaxRecordedRows => _matrix.MaxRecordedRows;

    /// <summary>Logits of the normalised residual stream: [rows, hidden] → [rows, this rank's part of the vocabulary].</summary>
    public Tensor Forward(Tensor residual, RmsNorm norm) => _matrix.ForwardNormed(residual, norm);
}
