namespace LocalLlm.KvCache;

/// <summary>
/// The blocks of the paged KV cache: numbers 0 to <see cref="NumBlocks"/> - 1, all created up front, each with a reference
/// count. Blocks without references are on the free list, whose head is reused first. A free block that is also in the prefix index can
/// still be hit until it is reused. Allocate, reference and release are O(1) and allocate no memory.
/// </summary>
internal sealed class BlockPool
{
    private readonly int[] _references; // by block
    private readonly int[] _next; // by block, plus the list's sentinel at index NumBlocks
    private readonly int[] _previous;
    private readonly PrefixIndex? _index;

    /// <summary>Creates the pool with every block free.</summary>
    /// <param name="numBlocks">Number of blocks, at least 1.</param>
    /// <param name="index">The prefix cache over the same blocks, or null if prefix caching is off.</param>
    public BlockPool(int numBlocks, PrefixIndex? index)
    {
        NumBlocks = numBlocks;
        NumFree = numBlocks;
        _index = index;
        _references = new int[numBlocks];
        _next = new int[numBlocks + 1];
        _previous = new int[numBlocks + 1];
        for (var i = 0; i <= numBlocks; i++)
        {
            _next[i] = i == numBlocks ? 0 : i + 1;
            _previous[i] = i == 0 ? numBlocks : i - 1;
        }
    }

    /// <summary>Number of all blocks.</summary>
    public int NumBlocks { get; }

    /// <summary>Blocks without references, whether or not their content can still be hit.</summary>
    public int NumFree { get; private set; }

    private int Sentinel => NumBlocks;

    /// <summary>How many block tables hold the block.</summary>
    public int References(int block) => _references[block];

    /// <summary>Takes the least recently used free block, with one reference; its cached content is evicted.</summary>
    /// <exception cref="EngineException">No block is free: the caller did not check <see cref="NumFree"/> first.</exception>
    public int Allocate()
    {
        var block = _next[Sentinel];
        if (block == Sentinel)
            throw KvCacheIntegrity.Broken($"a block was taken from an empty free list ({NumBlocks} blocks, all referenced)");
        Unlink(block);
        _index?.Remove(block);
        _references[block] = 1;
        return block;
    }

    /// <summary>Adds a reference after a prefix-cache hit; takes the block off the free list if it was there.</summary>
    public void AddReference(int block)
    {
        if (_references[block]++ == 0)
            Unlink(block);
    }

    /// <summary>
    /// Drops a reference. Without references the block is free: at the tail (reused last) if it can still be hit, else at the head.
    /// A sequence releases its blocks last to first, so that its tail is evicted before the prefix that other sequences may share.
    /// </summary>
    /// <exception cref="EngineException">The block had no reference: it was freed twice.</exception>
    public void Release(int block)
    {
        if (_references[block] <= 0)
            throw KvCacheIntegrity.Broken($"block {block} of {NumBlocks} was freed twice");
        if (--_references[block] > 0)
            return;
        var after = _index is not null && _index.Contains(block) ? _previous[Sentinel] : Sentinel;
        Link(block, after);
    }

    /// <summary>Throws unless the free list is a sound ring of exactly the blocks without references.</summary>
    public void CheckIntegrity()
    {
        var onList = 0;
        for (var block = _next[Sentinel]; block != Sentinel; block = _next[block])
        {
            if ((uint)block >= (uint)NumBlocks || ++onList > NumBlocks || _previous[_next[block]] != block)
                throw KvCacheIntegrity.Broken($"the free list is broken at block {block} (entry {onList} of {NumFree})");
            if (_references[block] != 0)
                throw KvCacheIntegrity.Broken($"block {block} is on the free list with {_references[block]} references");
        }

        var referenced = 0;
        foreach (var count in _references)
            referenced += count > 0 ? 1 : 0;
        if (onList != NumFree || onList + referenced != NumBlocks)
        {
            throw KvCacheIntegrity.Broken(
                $"{onList} free blocks on the list ({NumFree} counted) + {referenced} referenced blocks != {NumBlocks} blocks");
        }
    }

    private void Unlink(int block)
    {
        _next[_previous[block]] = _next[block];
        _previous[_next[block]] = _previous[block];
        NumFree--;
    }

    private void Link(int block, int after)
    {
        var before = _next[after];
        _next[after] = block;
        _previous[block] = after;
        _next[block] = before;
        _previous[before] = block;
        NumFree++;
    }
}
