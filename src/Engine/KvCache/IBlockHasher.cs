namespace LocalLlm.KvCache;

/// <summary>
/// The hash of one full block in a chain of blocks. It only narrows the search: a hit is accepted after comparing the
/// tokens and the parent, so an implementation may collide but must be deterministic.
/// </summary>
internal interface IBlockHasher
{
    /// <summary>Hashes one block.</summary>
    /// <param name="parentHash">Hash of the block before it; 0 for the first block.</param>
    /// <param name="tokenIds">The block's tokens, exactly one block long.</param>
    /// <param name="extra">What else separates otherwise equal blocks (the cache salt, on the first block only).</param>
    ulong Hash(ulong parentHash, ReadOnlySpan<int> tokenIds, ReadOnlySpan<char> extra);
}
