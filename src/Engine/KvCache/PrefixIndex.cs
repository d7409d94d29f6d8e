namespace LocalLlm.KvCache;

/// <summary>
/// Maps prefixes to the blocks that hold them: a hash table over block numbers, with all memory allocated up front.
/// </summary>
/// <remarks>
/// Every distinct prefix (salt, and all tokens up to the end of the block) gets an id that is never reused; blocks with
/// the same prefix share it. A lookup finds a block only if its hash, its tokens, its salt and the id of the prefix before it
/// are all equal. By induction the whole chain is then equal, so no forged or accidental hash collision can hit.
/// If the prefix of a block's parent has left the index, the block can no longer be found. That wastes a cache entry but never harms a
/// response.
/// </remarks>
internal sealed class PrefixIndex
{
    /// <summary>The id of the empty prefix: the parent of every first block.</summary>
    public const long Root = 0;

    private const int None = -1;
    private readonly IBlockHasher _hasher;
    private readonly int _blockSize;
    private readonly Entry[] _entries; // by block
    private readonly int[] _tokens; // [blocks, blockSize]
    private readonly int[] _buckets; // first block of the chain, or None
    private long _lastId = Root;

    public PrefixIndex(int numBlocks, int blockSize, IBlockHasher hasher)
    {
        _hasher = hasher;
        _blockSize = blockSize;
        _entries = new Entry[numBlocks];
        _tokens = new int[numBlocks * blockSize];
        _buckets = new int[(int)uint.Min(System.Numerics.BitOperations.RoundUpToPowerOf2((uint)numBlocks), 1u << 30)];
        Array.Fill(_buckets, None);
    }

    /// <summary>Number of blocks in the index.</summary>
    public int Count { get; private set; }

    /// <summary>Whether the block can be hit.</summary>
    public bool Contains(int block) => _entries[block].Id != Root;

    /// <summary>The prefix id of a block in the index, else <see cref="Root"/>.</summary>
    public long IdOf(int block) => _entries[block].Id;

    /// <summary>The chained hash of one full block; the salt counts on the first block only.</summary>
    public ulong Hash(ulong parentHash, ReadOnlySpan<int> tokenIds, string? salt) => _hasher.Hash(parentHash, tokenIds, salt);

    /// <summary>Finds a block that holds exactly this prefix; -1 if none.</summary>
    /// <param name="hash">The block's chained hash.</param>
    /// <param name="parentId">Prefix id of the previous block, or <see cref="Root"/>.</param>
    /// <param name="tokenIds">One block of tokens.</param>
    /// <param name="salt">The cache salt on the first block, null on all others.</param>
    public int Find(ulong hash, long parentId, ReadOnlySpan<int> tokenIds, string? salt)
    {
        for (var block = _buckets[Bucket(hash)]; block != None; block = _entries[block].Next)
        {
            ref readonly var entry = ref _entries[block];
            if (entry.Hash == hash && entry.ParentId == parentId && entry.Salt == salt && Tokens(block).SequenceEqual(tokenIds))
                return block;
        }

        return None;
    }

    /// <summary>Adds a fully computed block and returns its prefix id. Arguments as for <see cref="Find"/>.</summary>
    public long Add(int block, ulong hash, long parentId, ReadOnlySpan<int> tokenIds, string? salt)
    {
        if (Contains(block))
            throw KvCacheIntegrity.Broken($"block {block} was registered twice in the prefix cache");
        var twin = Find(hash, parentId, tokenIds, salt);
        ref var head = ref _buckets[Bucket(hash)];
        ref var entry = ref _entries[block];
        entry = new Entry
        {
            Hash = hash,
            Id = twin == None ? ++_lastId : _entries[twin].Id,
            ParentId = parentId,
            Salt = salt,
            Next = head,
            Previous = None,
        };
        if (head != None)
            _entries[head].Previous = block;
        head = block;
        tokenIds.CopyTo(Tokens(block));
        Count++;
        return entry.Id;
    }

    /// <summary>Removes a block; without effect if it is not in the index.</summary>
    public void Remove(int block)
    {
        if (!Contains(block))
            return;
        ref var entry = ref _entries[block];
        if (entry.Next != None)
            _entries[entry.Next].Previous = entry.Previous;
        if (entry.Previous != None)
            _entries[entry.Previous].Next = entry.Next;
        else
            _buckets[Bucket(entry.Hash)] = entry.Next;
        entry = default;
        Count--;
    }

    /// <summary>Removes every block.</summary>
    public void Clear()
    {
        Array.Clear(_entries);
        Array.Fill(_buckets, None);
        Count = 0;
    }

    /// <summary>Throws if the chains and the entries disagree.</summary>
    public void CheckIntegrity()
    {
        var found = 0;
        for (var bucket = 0; bucket < _buckets.Length; bucket++)
        {
            var previous = None;
            for (var block = _buckets[bucket]; block != None; block = _entries[block].Next)
            {
                ref readonly var entry = ref _entries[block];
                if (!Contains(block) || entry.Previous != previous || Bucket(entry.Hash) != bucket || ++found > _entries.Length)
                    throw KvCacheIntegrity.Broken($"the prefix cache's chain {bucket} is broken at block {block}");
                previous = block;
            }
        }

        if (found != Count)
            throw KvCacheIntegrity.Broken($"the prefix cache counts {Count} blocks but its chains hold {found}");
    }

    private int Bucket(ulong hash) => (int)(hash & (uint)(_buckets.Length - 1));

    private Span<int> Tokens(int block) => _tokens.AsSpan(block * _blockSize, _blockSize);

    private struct Entry
    {
        public ulong Hash;
        public long Id;
        public long ParentId;
        public string? Salt;
        public int Next;
        public int Previous;
    }
}
