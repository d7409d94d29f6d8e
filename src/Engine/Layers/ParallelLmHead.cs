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
        context.Weights.Add(new WeightPart(weightName, [vocabularySize, hiddenSize], 0, shard.Start, shard.Length), weight => _weight = context.Ops.PackLinear(weight, null));
    }

    /// <summary>[rows, hidden] → logits [rows, vocabulary], float32.</summary>
    public Tensor Forward(Tensor hidden)
    {
        var local = _context.Ops.Linear(hidden, _weight ?? throw new InvalidOperationException("The output projection is not loaded."));
        return _context.Collectives.AllGather(local, 1).to(float32);
    }

    /// <inheritdoc/>
    public void Dispose() => _weight?.Dispose();
}
