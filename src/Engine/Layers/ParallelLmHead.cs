using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The output projection; the vocabulary is split over the ranks and gathered again.</summary>
internal sealed class ParallelLmHead : IDisposable
{
    private readonly LayerContext _context;
    private LinearWeight? _weight;

    /// <summary>Registers <paramref name="weightName"/> [vocabulary, hidden]: the head's own, or the embedding's when they are tied.</summary>
    public ParallelLmHead(LayerContext context, string weightName, int vocabularySize, int hiddenSize)
    {
        _context = context;
        var shard = ShardRange.Of(vocabularySize, context.Collectives, "The vocabulary size");
        context.Weights.Add(new WeightPart(weightName, [vocabularySize, hiddenSize], 0, shard.Start, shard.Length), weight => _weight = context.Ops.PackLinear(weight, null, LinearRole.Head));
    }

    /// <summary>Logits of the normalised residual stream: [rows, hidden] → [rows, vocabulary].</summary>
    public Tensor Forward(Tensor residual, RmsNorm norm)
    {
        var weight = _weight ?? throw new InvalidOperationException("The output projection is not loaded.");
        return _context.Collectives.AllGather(_context.Ops.NormLinear(residual, norm.Weight, norm.Epsilon, weight), 1);
    }

    /// <inheritdoc/>
    public void Dispose() => _weight?.Dispose();
}
