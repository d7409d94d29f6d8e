using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// Gathers what sampling needs of logits whose columns are split over the ranks (<see cref="ParallelLmHead"/>): each rank's best token for
/// greedy rows, all columns for other rows (decision 0031). Where the device samples, every rank gets them: all ranks choose the same
/// tokens, and none waits for an id. Else only rank 0 does. Every rank calls the same methods in the same order with as many rows.
/// </summary>
/// <param name="group">The ranks.</param>
/// <param name="ops">The device.</param>
/// <param name="vocabularySize">Columns over all ranks.</param>
internal sealed unsafe class LogitsGather(ICollectives group, IDeviceOps ops, int vocabularySize)
{
    private readonly int _share = ShardRange.VocabularyShare(vocabularySize, group); // columns of every rank; the last may have fewer

    /// <summary>Whether the columns are split over several ranks.</summary>
    public bool IsSplit => group.WorldSize > 1;

    /// <summary>Whether every rank gets what is gathered; false: only rank 0.</summary>
    public bool OnEveryRank { get; } = group.WorldSize == 1 || ops.Features.TokenSampler is not null;

    /// <summary>[rows, this rank's columns] → [rows, vocabulary]; null on a rank that gets nothing.</summary>
    public Tensor? Whole(Tensor logits)
    {
        if (!IsSplit)
            return logits;
        if (OnEveryRank)
            return group.AllGatherColumns(logits, _share, vocabularySize);
        if (logits.size(1) < _share)
            logits = nn.functional.pad(logits, [0, _share - logits.size(1)]);
        var whole = group.Gather(logits, 1);
        return whole is null || whole.size(1) == vocabularySize ? whole : whole.narrow(1, 0, vocabularySize).contiguous();
    }

    /// <summary>
    /// The best token of each row, and the lowest id on a tie: [rows, this rank's columns] → [rows] int32.
    /// <see cref="ITokenSampler.NonFiniteRow"/> where the row has NaN or +Infinity or only -Infinity. Null on a rank that gets nothing.
    /// </summary>
    public Tensor? Best(Tensor logits)
    {
        var maxima = ops.RowMaxima(logits, (long)_share * group.Rank); // [rows, 2]
        if (IsSplit)
        {
            if ((OnEveryRank ? group.AllGather(maxima, 0) : group.Gather(maxima, 0)) is not { } all)
                return null;
            maxima = all; // [ranks · rows, 2]
        }

        return ops.Features.TokenSampler?.BestOfRanks(maxima, group.WorldSize) ?? BestOnHost(maxima.cpu(), group.WorldSize);
    }

    private static Tensor BestOnHost(Tensor maxima, int ranks)
    {
        var rows = (int)maxima.size(0) / ranks;
        var result = empty([rows], ScalarType.Int32);
        var pairs = (float*)maxima.DataPointer();
        var ids = (int*)result.DataPointer();
        for (var row = 0; row < rows; row++)
        {
            var (best, id) = (pairs[2 * row], pairs[(2 * row) + 1]);
            for (var rank = 1; rank < ranks; rank++)
            {
                var other = pairs + (2 * (((long)rank * rows) + row));
                // Later ranks have higher ids, so a later rank's value must be larger to win. NaN counts as larger than everything.
                if (!float.IsNaN(best) && !(other[0] <= best))
                    (best, id) = (other[0], other[1]);
            }

            ids[row] = float.IsFinite(best) ? (int)id : ITokenSampler.NonFiniteRow;
        }

        return result;
    }
}
