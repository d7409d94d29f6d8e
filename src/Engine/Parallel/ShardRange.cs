namespace LocalLlm.Parallel;

/// <summary>The part of a dimension that one rank holds.</summary>
/// <param name="Start">First index.</param>
/// <param name="Length">Number of indices.</param>
internal readonly record struct ShardRange(long Start, long Length)
{
    /// <summary>An even split of <paramref name="size"/> over the group.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions: the size does not divide by the group's size.</exception>
    public static ShardRange Of(long size, ICollectives group, string what)
    {
        if (size % group.WorldSize != 0)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"{what} ({size}) is not divisible by the tensor parallel size ({group.WorldSize}). Choose a tensor parallel size that divides it.", "tensor_parallel_size");
        return At(size, group.Rank, group.WorldSize);
    }

    /// <summary>
    /// A part of <paramref name="size"/> things, none of which is split: the first ranks have one more where it does not divide.
    /// </summary>
    public static ShardRange OfWhole(int size, ICollectives group)
    {
        var (each, rest) = Math.DivRem(size, group.WorldSize);
        return new(((long)group.Rank * each) + Math.Min(group.Rank, rest), each + (group.Rank < rest ? 1 : 0));
    }

    /// <summary>A rank's part of a size that divides.</summary>
    public static ShardRange At(long size, int rank, int ranks) => new(rank * (size / ranks), size / ranks);

    /// <summary>A rank's key and value heads, where one of the counts divides the other.</summary>
    public static ShardRange KvHeadsAt(int heads, int rank, int ranks) => heads >= ranks ? At(heads, rank, ranks) : new(rank / (ranks / heads), 1);

    /// <summary>
    /// Rows of a vocabulary: equal shares but for the last, which is shorter where the size does not divide (vLLM pads the matrices
    /// instead).
    /// </summary>
    /// <exception cref="EngineException">Kind InvalidOptions: there would be ranks without rows.</exception>
    public static ShardRange OfVocabulary(int size, ICollectives group)
    {
        var share = VocabularyShare(size, group);
        if (share * (group.WorldSize - 1) >= size)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"The vocabulary ({size}) is too small for a tensor parallel size of {group.WorldSize}.", "tensor_parallel_size");
        var start = (long)share * group.Rank;
        return new(start, Math.Min(share, size - start));
    }

    /// <summary>Rows of a vocabulary on every rank but perhaps the last.</summary>
    public static int VocabularyShare(int size, ICollectives group) => VocabularyShare(size, group.WorldSize);

    /// <summary>Rows of a vocabulary on every rank of a group but perhaps the last.</summary>
    public static int VocabularyShare(int size, int ranks)
    {
        // Whole tiles of the kernels that multiply by it.
        const int multiple = 8;
        var share = (size + ranks - 1) / ranks;
        return ranks == 1 ? size : Math.Min(size, (share + multiple - 1) / multiple * multiple);
    }

    /// <summary>
    /// Key and value heads: an even split, or, when there are fewer heads than ranks, one head that several ranks hold.
    /// </summary>
    /// <exception cref="EngineException">Kind InvalidOptions: neither count divides the other.</exception>
    public static ShardRange OfKvHeads(int heads, ICollectives group)
    {
        if (heads >= group.WorldSize)
            return Of(heads, group, "The number of key and value heads");
        if (group.WorldSize % heads != 0)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"The tensor parallel size ({group.WorldSize}) is not a multiple of the number of key and value heads ({heads}).", "tensor_parallel_size");
        return KvHeadsAt(heads, group.Rank, group.WorldSize);
    }
}
