namespace LocalLlm.KvCache;

/// <summary>
/// One sequence's blocks in order: token position p is in block <c>Blocks[p / blockSize]</c> at slot <c>p % blockSize</c>. The sequence
/// owns the table, and only its <see cref="KvCacheManager"/> changes it. Every entry counts as one reference.
/// </summary>
/// <param name="cacheSalt">Separates this sequence's prefixes from those of every other salt; null counts as a salt of its own.</param>
internal sealed class BlockTable(string? cacheSalt = null)
{
    private int[] _blocks = [];
    private ulong[] _hashes = [];
    private int _hashCount;

    /// <summary>The salt.</summary>
    public string? CacheSalt { get; } = cacheSalt;

    /// <summary>Number of blocks held.</summary>
    public int Count { get; private set; }

    /// <summary>
    /// The block numbers. The memory stays unchanged while blocks are appended; it is rewritten after the table was freed.
    /// </summary>
    public ReadOnlyMemory<int> Blocks => _blocks.AsMemory(0, Count);

    /// <summary>How many leading blocks are in the prefix cache (found there, or registered).</summary>
    internal int NumCached { get; private set; }

    /// <summary>Prefix id after the first <see cref="NumCached"/> blocks.</summary>
    internal long PrefixId { get; private set; } = PrefixIndex.Root;

    /// <summary>The reset count of the prefix cache when this table got its first block.</summary>
    internal int Epoch { get; set; }

    internal void Append(int block)
    {
        if (Count == _blocks.Length)
            Array.Resize(ref _blocks, int.Max(8, Count * 2));
        _blocks[Count++] = block;
    }

    internal void SetCached(int count, long prefixId) => (NumCached, PrefixId) = (count, prefixId);

    internal void Clear()
    {
        Count = 0;
        SetCached(0, PrefixIndex.Root);
    }

    /// <summary>
    /// The chained hash of block <paramref name="position"/>. It is computed only once, because tokens are only ever appended.
    /// </summary>
    internal ulong HashAt(int position, ReadOnlySpan<int> tokenIds, int blockSize, PrefixIndex index)
    {
        while (_hashCount <= position)
        {
            if (_hashCount == _hashes.Length)
                Array.Resize(ref _hashes, int.Max(8, _hashCount * 2));
            var parent = _hashCount == 0 ? 0 : _hashes[_hashCount - 1];
            var block = tokenIds.Slice(_hashCount * blockSize, blockSize);
            _hashes[_hashCount] = index.Hash(parent, block, _hashCount == 0 ? CacheSalt : null);
            _hashCount++;
        }

        return _hashes[position];
    }
}
