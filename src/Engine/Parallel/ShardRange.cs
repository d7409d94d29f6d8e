namespace LocalLlm.Parallel;

/// <summary>The part of a dimension that one rank holds.</summary>
/// <param name="Start">First index.</param>
/// <param name="Length">Number of indices.</param>
internal readonly record struct ShardRange(long Start, long Length)
{
    /// <summary>This rank's part of an even split of <paramref name="size"/> over the group.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions: the size is not divisible by the group's size.</exception>
    public static ShardRange Of(long size, ICollectives group, string what)
    {
        if (size % group.WorldSize != 0)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"{what} ({size}) is not divisible by the tensor parallel size ({group.WorldSize}). Choose a tensor parallel size that divides it.", "tensor_parallel_size");
        return At(size, group.Rank, group.WorldSize);
    }

    /// <summary>
    /// This rank's part of <paramref name="size"/> items, none of which is split. If the size is not divisible, the first ranks have one
    /// more.
    /// </summary>
    public static ShardRange OfWhole(int size, ICollectives group)
    {
        var (each, rest) = Math.DivRem(size, group.WorldSize);
        return new(((long)group.Rank * each) + Math.Min(group.Rank, rest), each + (group.Rank < rest ? 1 : 0));
    }

    /// <summary>A rank's part of a divisible size.</summary>
    public static ShardRange At(long size, int rank, int ranks) => new(rank * (size / ranks), size / ranks);

    /// <summary>A rank's key and value heads, if one of the two counts divides the other.</summary>
    public static ShardRange KvHeadsAt(int heads, int rank, int ranks) => heads >= ranks ? At(heads, rank, ranks) : new(rank / (ranks / heads), 1);

    /// <summary>
    /// This rank's rows of a vocabulary: equal shares, except for a shorter last one if the size is not divisible (vLLM pads the matrices
    /// instead).
    /// </summary>
    /// <exception cref="EngineException">Kind InvalidOptions: some ranks would have no rows.</exception>
    public static ShardRange OfVocabulary(int size, ICollectives group)
    {
        var share = VocabularyShare(size, group);
        if (share * (group.WorldSize - 1) >= size)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"The vocabulary ({size}) is too small for a tensor parallel size of {group.WorldSize}.", "tensor_parallel_size");
        var start = (long)share * group.Rank;
        return new(start, Math.Min(share, size - start));
    }

    /// <summary>Number of rows of a vocabulary on every rank; the last one may have fewer.</summary>
    public static int VocabularyShare(int size, ICollectives group) => VocabularyShare(size, group.WorldSize);

    /// <summary>Number of rows of a vocabulary on every rank of a group; the last one may have fewer.</summary>
    public static int VocabularyShare(int size, int ranks)
    {
        // A multiple of the tile size of the kernels that multiply by these rows.
        const int multiple = 8;
        var share = (size + ranks - 1) / ranks;
        return ranks == 1 ? size : Math.Min(size, (share + multiple - 1) / multiple * multiple);
    }

    /// <summary>
    /// This rank's key and value heads: an even split, or, if there are fewer heads than ranks, one head that several ranks hold.
    /// </summary>
    /// <exception cref="EngineException">Kind InvalidOptions: neither of the two counts divides the other.</exception>
    public static ShardRange OfKvHeads(int heads, ICollectives group)
    {
        if (heads >= group.WorldSize)
            return Of(heads, group, "The number of key and value heads");
        if (group.WorldSize % heads != 0)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"The tensor parallel size ({group.WorldSize}) is not a multiple of the number of key and value heads ({heads}).", "tensor_parallel_size");
        return KvHeadsAt(heads, group.Rank, group.WorldSize);
    }
}
