namespace LocalLlm.KvCache;

/// <summary>
/// Hashes one full block in a chain of blocks. The hash only narrows the search: a hit also compares the tokens and the parent. An
/// implementation may therefore collide but must be deterministic.
/// </summary>
internal interface IBlockHasher
{
    /// <summary>Hashes one block.</summary>
    /// <param name="parentHash">Hash of the previous block; 0 for the first block.</param>
    /// <param name="tokenIds">The block's tokens, exactly one block long.</param>
    /// <param name="extra">Anything else that separates otherwise equal blocks (the cache salt, on the first block only).</param>
    ulong Hash(ulong parentHash, ReadOnlySpan<int> tokenIds, ReadOnlySpan<char> extra);
}
