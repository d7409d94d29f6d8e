using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>How the ranks of a group split a matrix.</summary>
internal enum PartSplit
{
    /// <summary>Not at all: every rank holds the whole matrix.</summary>
    None,

    /// <summary>Evenly, by size.</summary>
    Even,

    /// <summary>By key and value heads; several ranks hold the same head if there are fewer heads than ranks.</summary>
    KvHeads,

    /// <summary>By number: each matrix is whole on one rank.</summary>
    Count,

    /// <summary>By rows of the vocabulary, in equal shares; the last one may be shorter.</summary>
    Vocabulary,
}

/// <summary>Matrices or vectors of one shape.</summary>
/// <param name="Rows">Outputs.</param>
/// <param name="Columns">Inputs; 1 for a vector.</param>
/// <param name="Split">What the ranks split it by.</param>
internal sealed record WeightPart(long Rows, long Columns, PartSplit Split)
{
    /// <summary>Number of matrices or vectors.</summary>
    public long Count { get; init; } = 1;

    /// <summary>How many of them belong to one expert and stay together.</summary>
    public int PerExpert { get; init; } = 1;

    /// <summary>Additional copies beside <see cref="Count"/>, where several ranks hold the same ones.</summary>
    public long Redundant { get; init; }

    /// <summary>How many of <see cref="Count"/> are used for one token; null: all.</summary>
    public long? Active { get; init; }

    /// <summary>Whether it belongs to routed experts, which the ranks of all data-parallel groups of a stage share.</summary>
    public bool IsOfExperts { get; init; }

    /// <summary>Whether ranks split its columns instead of its rows.</summary>
    public bool SplitsColumns { get; init; }

    /// <summary>Whether it is stored in the model's quantised format, if the model has one.</summary>
    public bool IsQuantised { get; init; }

    /// <summary>The layer's modules that it stands for, one for each of <see cref="Count"/>; empty: the names do not matter.</summary>
    public IReadOnlyList<string> Modules { get; init; } = [];

    /// <summary>
    /// Whether it is kept in the model's type, in one copy, however it is stored, because a layer does more than multiply by it.
    /// </summary>
    public bool IsWidened { get; init; }

    /// <summary>Bytes of an element; null: as in the model's type.</summary>
    public int? ElementBytes { get; init; }

    /// <summary>Whether a CPU may keep a second copy for single rows.</summary>
    /// <param name="format">The model's quantised format; null: none.</param>
    public bool MayHaveCopy(BlockFormat? format) => !IsWidened && ElementBytes is null && !(IsQuantised && format is not null);

    /// <summary>Elements of all matrices or vectors on one device.</summary>
    public long Elements => Rows * Columns * Count;

    /// <summary>Rows and columns of the part that one rank holds.</summary>
    /// <param name="tensorParallel">Ranks of the group.</param>
    /// <param name="kvHeads">Key and value heads of the model.</param>
    public (long Rows, long Columns) ShapeOn(int tensorParallel, int kvHeads) => Split switch
    {
        PartSplit.None or PartSplit.Count => (Rows, Columns),
        PartSplit.KvHeads => (Rows / kvHeads * Math.Max(1, kvHeads / tensorParallel), Columns),
        PartSplit.Vocabulary => (ShardRange.VocabularyShare((int)Rows, tensorParallel), Columns),
        _ => SplitsColumns ? (Rows, Columns / tensorParallel) : (Rows / tensorParallel, Columns),
    };

    /// <summary>Bytes that one rank holds.</summary>
    /// <param name="tensorParallel">Ranks of the group.</param>
    /// <param name="kvHeads">Key and value heads of the model.</param>
    /// <param name="elementBytes">Bytes of an element of the model's type.</param>
    /// <param name="format">The model's quantised format; null: none.</param>
    /// <param name="count">How many to count; null: <see cref="Count"/>.</param>
    public long BytesOn(int tensorParallel, int kvHeads, int elementBytes, BlockFormat? format, long? count = null)
    {
        var (rows, columns) = ShapeOn(tensorParallel, kvHeads);
        // The engine also counts the scales of widened matrices, though it frees them.
        var scales = IsQuantised && format is not null ? Blocks(rows, format.Rows) * Blocks(columns, format.Columns) * sizeof(float) : 0;
        var one = scales + (rows * columns * (scales > 0 && !IsWidened ? 1 : ElementBytes ?? elementBytes));
        var all = count ?? Count + (tensorParallel > 1 ? Redundant : 0);
        // The rank that has the most of them.
        return one * (Split == PartSplit.Count ? ((all / PerExpert) + tensorParallel - 1) / tensorParallel * PerExpert : all);
    }

    private static long Blocks(long size, long edge) => (size + edge - 1) / edge;
}
