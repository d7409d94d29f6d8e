namespace LocalLlm.KvCache;

/// <summary>
/// Hands blocks of the paged KV cache to sequences and finds prefixes that are already computed. It only keeps records and never touches a
/// tensor. Not thread-safe; the engine loop owns it.
/// </summary>
internal sealed class KvCacheManager
{
    private readonly BlockPool _pool;
    private readonly PrefixIndex? _index;
    private readonly int[] _hits; // scratch of FindComputedBlocks
    private readonly int[] _counts; // scratch of CheckIntegrity
    private int _epoch;

    /// <summary>Creates the manager with every block free.</summary>
    /// <param name="numBlocks">Number of blocks, at least 1.</param>
    /// <param name="blockSize">Tokens per block, at least 1.</param>
    /// <param name="enablePrefixCaching">Whether to keep computed blocks for later sequences with the same prefix.</param>
    /// <param name="hasher">The block hasher; null: one with a random key.</param>
    /// <exception cref="EngineException">The sizes are out of range.</exception>
    public KvCacheManager(int numBlocks, int blockSize = 16, bool enablePrefixCaching = true, IBlockHasher? hasher = null)
    {
        if (numBlocks < 1 || blockSize < 1 || (long)numBlocks * blockSize > Array.MaxLength)
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"a KV cache of {numBlocks} blocks of {blockSize} tokens is not possible: both must be at least 1 " +
                $"and their product at most {Array.MaxLength}",
                "num_gpu_blocks");
        }

        BlockSize = blockSize;
        _index = enablePrefixCaching ? new PrefixIndex(numBlocks, blockSize, hasher ?? BlockHasher.CreateRandom()) : null;
        _pool = new BlockPool(numBlocks, _index);
        _hits = new int[enablePrefixCaching ? numBlocks : 0];
        _counts = new int[numBlocks];
    }

    /// <summary>Tokens per block.</summary>
    public int BlockSize { get; }

    /// <summary>Number of all blocks.</summary>
    public int NumBlocks => _pool.NumBlocks;

    /// <summary>Blocks that no sequence holds.</summary>
    public int NumFreeBlocks => _pool.NumFree;

    /// <summary>Blocks whose content can be hit, whether held or free.</summary>
    public int NumCachedBlocks => _index?.Count ?? 0;

    /// <summary>Share of blocks held by sequences, 0 to 1.</summary>
    public double Usage => 1.0 - ((double)NumFreeBlocks / NumBlocks);

    /// <summary>Whether prefixes are cached at all.</summary>
    public bool PrefixCachingEnabled => _index is not null;

    /// <summary>Number of blocks for <paramref name="numTokens"/> tokens.</summary>
    public int BlocksFor(int numTokens) => (int)(((long)numTokens + BlockSize - 1) / BlockSize);

    /// <summary>How many block tables hold the block.</summary>
    public int References(int block) => _pool.References(block);

    /// <summary>Whether the block's content can be hit.</summary>
    public bool IsCached(int block) => _index is not null && _index.Contains(block);

    /// <summary>
    /// Finds the longest cached prefix of a sequence, in whole blocks. It always leaves at least one token to compute, because its logits
    /// are needed. No side effect: the caller owns the blocks only after <see cref="TryAllocate"/> has taken them.
    /// </summary>
    /// <param name="table">The sequence's table, which holds no block yet.</param>
    /// <param name="tokenIds">All known tokens of the sequence.</param>
    /// <returns>The blocks, first to last; valid until the next call.</returns>
    public ReadOnlySpan<int> FindComputedBlocks(BlockTable table, ReadOnlySpan<int> tokenIds)
    {
        if (_index is null)
            return [];
        var most = int.Min((tokenIds.Length - 1) / BlockSize, _hits.Length);
        var prefix = PrefixIndex.Root;
        var count = 0;
        while (count < most)
        {
            var hash = table.HashAt(count, tokenIds, BlockSize, _index);
            var tokens = tokenIds.Slice(count * BlockSize, BlockSize);
            var block = _index.Find(hash, prefix, tokens, count == 0 ? table.CacheSalt : null);
            if (block < 0)
                break;
            _hits[count++] = block;
            prefix = _index.IdOf(block);
        }

        return _hits.AsSpan(0, count);
    }

    /// <summary>
    /// Free blocks that <see cref="TryAllocate"/> with the same arguments would take, including cached blocks that no sequence holds.
    /// </summary>
    public int FreeBlocksNeeded(BlockTable table, int numTokens, ReadOnlySpan<int> computedBlocks = default)
    {
        var needed = int.Max(0, BlocksFor(numTokens) - table.Count - computedBlocks.Length);
        foreach (var block in computedBlocks)
            needed += _pool.References(block) == 0 ? 1 : 0;
        return needed;
    }

    /// <summary>Extends a table to cover the first <paramref name="numTokens"/> positions.</summary>
    /// <param name="table">The table.</param>
    /// <param name="numTokens">Positions to cover, including those already covered and the computed ones.</param>
    /// <param name="computedBlocks">The latest result of <see cref="FindComputedBlocks"/> for this (empty) table, or nothing.</param>
    /// <returns>False, with nothing changed, if there are too few free blocks.</returns>
    public bool TryAllocate(BlockTable table, int numTokens, ReadOnlySpan<int> computedBlocks = default)
    {
        if (FreeBlocksNeeded(table, numTokens, computedBlocks) > NumFreeBlocks)
            return false;
        if (table.Count == 0)
            table.Epoch = _epoch;
        else if (computedBlocks.Length > 0)
            throw KvCacheIntegrity.Broken($"cached blocks were given to a sequence that already holds {table.Count} blocks");

        // Add references first: a hit that is still on the free list must not be allocated as a new block below.
        foreach (var block in computedBlocks)
        {
            _pool.AddReference(block);
            table.Append(block);
        }

        if (computedBlocks.Length > 0)
            table.SetCached(computedBlocks.Length, _index!.IdOf(computedBlocks[^1]));
        for (var missing = BlocksFor(numTokens) - table.Count; missing > 0; missing--)
            table.Append(_pool.Allocate());
        return true;
    }

    /// <summary>
    /// Registers the table's full blocks with the prefix cache. Call this only after the step that computed them has completed: an entry
    /// added earlier could be hit before its content is written, or although it never is.
    /// </summary>
    /// <param name="table">The table.</param>
    /// <param name="tokenIds">The sequence's tokens, at least the computed ones.</param>
    /// <param name="numComputedTokens">How many leading positions hold valid keys and values.</param>
    public void CacheBlocks(BlockTable table, ReadOnlySpan<int> tokenIds, int numComputedTokens)
    {
        if (_index is null || table.Epoch != _epoch)
            return;
        var full = numComputedTokens / BlockSize;
        for (var i = table.NumCached; i < full; i++)
        {
            var hash = table.HashAt(i, tokenIds, BlockSize, _index);
            var tokens = tokenIds.Slice(i * BlockSize, BlockSize);
            var id = _index.Add(table.Blocks.Span[i], hash, table.PrefixId, tokens, i == 0 ? table.CacheSalt : null);
            table.SetCached(i + 1, id);
        }
    }

    /// <summary>Releases all blocks of a table, last to first; the table is then empty and may be used again.</summary>
    public void Free(BlockTable table)
    {
        var blocks = table.Blocks.Span;
        for (var i = blocks.Length - 1; i >= 0; i--)
            _pool.Release(blocks[i]);
        table.Clear();
    }

    /// <summary>
    /// Removes the table's blocks from the prefix cache and keeps later ones out, after the sequence has failed: what it wrote or read may
    /// be bad. This sequence, and others, still hold the blocks.
    /// </summary>
    public void Distrust(BlockTable table)
    {
        table.Epoch = -1;
        if (_index is null)
            return;
        foreach (var block in table.Blocks.Span)
            _index.Remove(block);
    }

    /// <summary>
    /// Empties the prefix cache. Sequences keep the blocks they hold. Nothing computed before the reset can be hit again, nor anything
    /// that sequences compute on top of it.
    /// </summary>
    public void ResetPrefixCache()
    {
        _epoch++;
        _index?.Clear();
    }

    /// <summary>Verifies that free + referenced = all, and every reference count, the free list and the prefix index.</summary>
    /// <param name="live">Every table that holds blocks, each once.</param>
    /// <exception cref="EngineException">Kind EngineDead, with the numbers.</exception>
    public void CheckIntegrity(IEnumerable<BlockTable> live)
    {
        Array.Clear(_counts);
        foreach (var table in live)
        {
            foreach (var block in table.Blocks.Span)
                _counts[block]++;
        }

        for (var block = 0; block < _counts.Length; block++)
        {
            if (_counts[block] != _pool.References(block))
            {
                throw KvCacheIntegrity.Broken(
                    $"block {block} counts {_pool.References(block)} references but {_counts[block]} live sequences hold it " +
                    $"({NumFreeBlocks} of {NumBlocks} blocks free)");
            }
        }

        _pool.CheckIntegrity();
        _index?.CheckIntegrity();
    }
}
