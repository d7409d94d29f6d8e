using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// The output projection; the vocabulary is split over the ranks, and gathered again where tokens are chosen: on every rank where the device
/// chooses them (all choose the same, and none has to wait for an id), else on rank 0.
/// </summary>
internal sealed class ParallelLmHead
{
    private readonly LayerContext _context;
    private readonly ILinear _matrix;
    private readonly int _vocabularySize;
    private readonly int _padding; // columns that this rank is short of the others
    private readonly bool _everyRank;

    /// <summary>Registers <paramref name="weightName"/> [vocabulary, hidden]: the head's own, or the embedding's when they are tied.</summary>
    public ParallelLmHead(LayerContext context, string weightName, int vocabularySize, int hiddenSize)
    {
        _context = context;
        var shard = ShardRange.OfVocabulary(vocabularySize, context.Collectives);
        _vocabularySize = vocabularySize;
        _padding = ShardRange.VocabularyShare(vocabularySize, context.Collectives) - (int)shard.Length;
        _everyRank = context.Ops.Features.TokenSampler is not null;
        _matrix = context.LinearMethod.Create(context,
            [new WeightSpec(weightName, [vocabularySize, hiddenSize], 0, shard.Start, shard.Length)], [], LinearRole.Head);
    }

    /// <inheritdoc cref="ILinear.MaxRecordedRows"/>
    public int MaxRecordedRows => _matrix.MaxRecordedRows;

    /// <summary>Logits of the normalised residual stream: [rows, hidden] → [rows, vocabulary]; null on a rank that does not need them.</summary>
    public Tensor? Forward(Tensor residual, RmsNorm norm)
    {
        var group = _context.Collectives;
        var logits = _matrix.ForwardNormed(residual, norm); // [rows, this rank's share]
        if (group.WorldSize == 1)
            return logits;
        if (_everyRank)
            return group.AllGatherColumns(logits, logits.size(1) + _padding, _vocabularySize);
        if (_padding > 0)
            logits = nn.functional.pad(logits, [0, _padding]);
        var whole = group.Gather(logits, 1);
        return whole is null || whole.size(1) == _vocabularySize ? whole : whole.narrow(1, 0, _vocabularySize).contiguous();
    }
}
