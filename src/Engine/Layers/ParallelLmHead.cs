using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The output projection; the vocabulary is split over the ranks and gathered again.</summary>
internal sealed class ParallelLmHead
{
    private readonly LayerContext _context;
    private readonly ILinear _matrix;

    /// <summary>Registers <paramref name="weightName"/> [vocabulary, hidden]: the head's own, or the embedding's when they are tied.</summary>
    public ParallelLmHead(LayerContext context, string weightName, int vocabularySize, int hiddenSize)
    {
        _context = context;
        var shard = ShardRange.Of(vocabularySize, context.Collectives, "The vocabulary size");
        _matrix = context.LinearMethod.Create(context,
            [new WeightSpec(weightName, [vocabularySize, hiddenSize], 0, shard.Start, shard.Length)], [], LinearRole.Head);
    }

    /// <summary>Logits of the normalised residual stream: [rows, hidden] → [rows, vocabulary].</summary>
    public Tensor Forward(Tensor residual, RmsNorm norm) => _context.Collectives.AllGather(_matrix.ForwardNormed(residual, norm), 1);
}
