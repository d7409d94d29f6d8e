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

    /// <summary>A rank's part of a size that divides.</summary>
    public static ShardRange At(long size, int rank, int ranks) => new(rank * (size / ranks), size / ranks);

    /// <summary>A rank's key and value heads, where one of the counts divides the other.</summary>
    public static ShardRange KvHeadsAt(int heads, int rank, int ranks) => heads >= ranks ? At(heads, rank, ranks) : new(rank / (ranks / heads), 1);

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
