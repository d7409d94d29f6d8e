using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>What the ranks of a group split a matrix by.</summary>
internal enum PartSplit
{
    /// <summary>Nothing: every rank holds it whole.</summary>
    None,

    /// <summary>Its size, evenly.</summary>
    Even,

    /// <summary>Key and value heads, which several ranks hold where there are fewer of them than ranks.</summary>
    KvHeads,

    /// <summary>Their number: each is on one rank, whole.</summary>
    Count,

    /// <summary>Rows of the vocabulary, in equal shares but for the last, which is shorter.</summary>
    Vocabulary,
}

/// <summary>Matrices or vectors of one shape.</summary>
/// <param name="Rows">Outputs.</param>
/// <param name="Columns">Inputs; 1 for a vector.</param>
/// <param name="Split">What the ranks split it by.</param>
internal sealed record WeightPart(long Rows, long Columns, PartSplit Split)
{
    /// <summary>How many there are of it.</summary>
    public long Count { get; init; } = 1;

    /// <summary>How many of them belong to one expert and stay together.</summary>
    public int PerExpert { get; init; } = 1;

    /// <summary>Copies of some of them beside <see cref="Count"/>, where several ranks hold them.</summary>
    public long Redundant { get; init; }

    /// <summary>Of <see cref="Count"/>, those that one token is computed by; null: all.</summary>
    public long? Active { get; init; }

    /// <summary>Whether it is a routed expert's, which the ranks of all data-parallel groups of a stage share.</summary>
    public bool IsOfExperts { get; init; }

    /// <summary>Whether columns are split, not rows.</summary>
    public bool SplitsColumns { get; init; }

    /// <summary>Whether it is stored in a model's quantised format, if it has one.</summary>
    public bool IsQuantised { get; init; }

    /// <summary>The modules of a layer that it is, one for each of <see cref="Count"/>; empty: those are no matter.</summary>
    public IReadOnlyList<string> Modules { get; init; } = [];

    /// <summary>Whether it is kept in the model's type, in one copy, however it is stored: a layer does more than multiply by it.</summary>
    public bool IsWidened { get; init; }

    /// <summary>Bytes of an element; null: those of the model's type.</summary>
    public int? ElementBytes { get; init; }

    /// <summary>Whether a CPU may keep a second copy for single rows.</summary>
    /// <param name="format">The model's quantised format; null: none.</param>
    public bool MayHaveCopy(BlockFormat? format) => !IsWidened && ElementBytes is null && !(IsQuantised && format is not null);

    /// <summary>Elements of all of them on one device.</summary>
    public long Elements => Rows * Columns * Count;

    /// <summary>Rows and columns of the part that one rank holds.</summary>
    /// <param name="tensorParallel">Ranks of the group.</param>
    /// <param name="kvHeads">Of the model.</param>
    public (long Rows, long Columns) ShapeOn(int tensorParallel, int kvHeads) => Split switch
    {
        PartSplit.None or PartSplit.Count => (Rows, Columns),
        PartSplit.KvHeads => (Rows / kvHeads * Math.Max(1, kvHeads / tensorParallel), Columns),
        PartSplit.Vocabulary => (ShardRange.VocabularyShare((int)Rows, tensorParallel), Columns),
        _ => SplitsColumns ? (Rows, Columns / tensorParallel) : (Rows / tensorParallel, Columns),
    };

    /// <summary>Bytes that one rank holds.</summary>
    /// <param name="tensorParallel">Ranks of the group.</param>
    /// <param name="kvHeads">Of the model.</param>
    /// <param name="elementBytes">Of the model's type.</param>
    /// <param name="format">The model's quantised format; null: none.</param>
    /// <param name="count">How many of them; null: <see cref="Count"/>.</param>
    public long BytesOn(int tensorParallel, int kvHeads, int elementBytes, BlockFormat? format, long? count = null)
    {
        var (rows, columns) = ShapeOn(tensorParallel, kvHeads);
        // The engine counts the scales of what it widens too, though it frees them.
        var scales = IsQuantised && format is not null ? Blocks(rows, format.Rows) * Blocks(columns, format.Columns) * sizeof(float) : 0;
        var one = scales + (rows * columns * (scales > 0 && !IsWidened ? 1 : ElementBytes ?? elementBytes));
        var all = count ?? Count + (tensorParallel > 1 ? Redundant : 0);
        // The rank that has most of them.
        return one * (Split == PartSplit.Count ? ((all / PerExpert) + tensorParallel - 1) / tensorParallel * PerExpert : all);
    }

    private static long Blocks(long size, long edge) => (size + edge - 1) / edge;
}
