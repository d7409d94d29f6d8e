using LocalLlm.KvCache;
using Xunit;

namespace LocalLlm.Tests.KvCache;

/// <summary>
/// A KV cache under random operations by sequences over a vocabulary of 2, with a fake KV store beside it. After each
/// operation every invariant is checked and every computed position is read back through its block table.
/// </summary>
internal sealed class AllocatorWorld
{
    private const int MaxLive = 8;
    private static readonly string?[] Salts = [null, "a"];
    private readonly Random _random;
    private readonly KvCacheManager _kv;
    private readonly ulong[] _slots;
    private readonly ulong[] _lastOfBlock; // the oracle: what prefix a full block held when it was registered
    private readonly List<Row> _live = [];
    private readonly List<Row> _parked = []; // preempted
    private readonly bool _failures;

    /// <param name="seed">Seeds everything random.</param>
    /// <param name="numBlocks">Pool size.</param>
    /// <param name="blockSize">Tokens per block.</param>
    /// <param name="failures">
    /// Whether entries are also thrown out of the prefix cache. If so, a cached block's parent may be gone, and a hit may be shorter than
    /// what is cached. If not, a hit must be exactly the longest cached prefix.
    /// </param>
    public AllocatorWorld(int seed, int numBlocks, int blockSize, bool failures)
    {
        _failures = failures;
        _random = new Random(seed);
        _kv = new KvCacheManager(numBlocks, blockSize, hasher: new BlockHasher((ulong)seed));
        _slots = new ulong[numBlocks * blockSize];
        _lastOfBlock = new ulong[numBlocks];
        Array.Fill(_slots, PrefixChain.Poison);
    }

    public long Hits { get; private set; }

    public long Refusals { get; private set; }

    public long Evictions { get; private set; }

    public override string ToString() => $"{Hits} hits, {Refusals} refusals, {Evictions} evictions, {_kv.NumCachedBlocks} cached";

    public void Step()
    {
        var cachedBefore = _kv.NumCachedBlocks;
        var roll = _random.Next(1000);
        if (roll < 200 || _live.Count == 0)
            Admit(NewRow());
        else if (roll < 300 && _parked.Count > 0)
            Admit(Take(_parked));
        else if (roll < 700)
            Compute(_live[_random.Next(_live.Count)]);
        else if (roll < 850)
            _live[_random.Next(_live.Count)].Tokens.Add(_random.Next(2));
        else if (roll < 950)
            Free(Take(_live));
        else if (roll < 997 || !_failures)
            Preempt(Take(_live));
        else if (roll < 999)
            Distrust(_live[_random.Next(_live.Count)]);
        else
            Reset();
        if (roll < 997 && _kv.NumCachedBlocks < cachedBefore)
            Evictions++;
        Check();
    }

    public void FreeAll()
    {
        while (_live.Count > 0)
            Free(Take(_live));
        Check();
        Assert.Equal(_kv.NumBlocks, _kv.NumFreeBlocks);
    }

    private Row NewRow()
    {
        var row = new Row(Salts[_random.Next(Salts.Length)]);
        var length = _random.Next(1, _kv.BlockSize * _kv.NumBlocks / 2);
        // Few distinct prompts, so that prefixes are shared; random tails, so that prompts diverge.
        var shared = _random.Next(3);
        for (var i = 0; i < length; i++)
            row.Tokens.Add(i < length - _random.Next(4) ? (i * (shared + 1) / 3) & 1 : _random.Next(2));
        return row;
    }

    private void Admit(Row row)
    {
        if (_live.Count == MaxLive)
            Free(Take(_live));
        var tokens = row.Tokens.ToArray();
        var hits = _kv.FindComputedBlocks(row.Table, tokens);
        var expected = LongestCachedPrefix(row, tokens);
        if (_failures)
            Assert.InRange(hits.Length, 0, expected);
        else
            Assert.Equal(expected, hits.Length);

        var computed = hits.Length * _kv.BlockSize;
        var cover = _random.Next(computed + 1, tokens.Length + 1);
        Hits += hits.Length;
        if (TryAllocate(row, cover, hits))
        {
            row.Computed = computed;
            _live.Add(row);
        }
        else if (_parked.Count < MaxLive)
        {
            _parked.Add(row);
        }
    }

    private void Compute(Row row)
    {
        var cover = _random.Next(row.Computed, row.Tokens.Count + 1);
        if (!TryAllocate(row, cover, []))
            return;
        if (_random.Next(10) == 0)
            return; // the step failed: blocks were allocated but nothing was computed
        var blocks = row.Table.Blocks.Span;
        for (var p = row.Computed; p < cover; p++)
        {
            var before = p == 0 ? PrefixChain.Start(row.Table.CacheSalt) : _slots[Slot(blocks, p - 1)];
            _slots[Slot(blocks, p)] = PrefixChain.Next(before, row.Tokens[p]);
        }

        row.Computed = int.Max(row.Computed, cover);
        _kv.CacheBlocks(row.Table, row.Tokens.ToArray(), row.Computed);
        for (var i = 0; i < row.Computed / _kv.BlockSize; i++)
            _lastOfBlock[blocks[i]] = _slots[Slot(blocks, ((i + 1) * _kv.BlockSize) - 1)];
    }

    private bool TryAllocate(Row row, int cover, ReadOnlySpan<int> hits)
    {
        var (free, held) = (_kv.NumFreeBlocks, row.Table.Count);
        var needed = _kv.FreeBlocksNeeded(row.Table, cover, hits);
        var fits = _kv.TryAllocate(row.Table, cover, hits);
        Assert.Equal(needed <= free, fits);
        Assert.Equal(fits ? free - needed : free, _kv.NumFreeBlocks);
        if (!fits)
        {
            Assert.Equal(held, row.Table.Count);
            Refusals++;
            return false;
        }

        // What a new block held before is gone.
        var blocks = row.Table.Blocks.Span;
        for (var i = held + hits.Length; i < blocks.Length; i++)
        {
            Assert.False(_kv.IsCached(blocks[i]));
            Assert.Equal(1, _kv.References(blocks[i]));
            _slots.AsSpan(blocks[i] * _kv.BlockSize, _kv.BlockSize).Fill(PrefixChain.Poison);
        }

        return true;
    }

    private void Free(Row row) => _kv.Free(row.Table);

    private void Preempt(Row row)
    {
        _kv.Free(row.Table);
        row.Computed = 0;
        if (_parked.Count < MaxLive)
            _parked.Add(row);
    }

    private void Distrust(Row row) => _kv.Distrust(row.Table);

    private void Reset()
    {
        _kv.ResetPrefixCache();
        Assert.Equal(0, _kv.NumCachedBlocks);
    }

    private Row Take(List<Row> rows)
    {
        var i = _random.Next(rows.Count);
        var row = rows[i];
        rows.RemoveAt(i);
        return row;
    }

    private int LongestCachedPrefix(Row row, int[] tokens)
    {
        var cached = new HashSet<ulong>();
        for (var block = 0; block < _kv.NumBlocks; block++)
        {
            if (_kv.IsCached(block))
                cached.Add(_lastOfBlock[block]);
        }

        var count = 0;
        while ((count + 1) * _kv.BlockSize < tokens.Length
            && cached.Contains(PrefixChain.Of(row.Table.CacheSalt, tokens.AsSpan(0, (count + 1) * _kv.BlockSize))))
        {
            count++;
        }

        return count;
    }

    private void Check()
    {
        _kv.CheckIntegrity(_live.Select(r => r.Table));
        foreach (var row in _live)
        {
            var state = PrefixChain.Start(row.Table.CacheSalt);
            var blocks = row.Table.Blocks.Span;
            for (var p = 0; p < row.Computed; p++)
            {
                state = PrefixChain.Next(state, row.Tokens[p]);
                if (_slots[Slot(blocks, p)] != state)
                    Assert.Fail($"position {p} of {row.Computed} does not hold its own prefix");
            }
        }
    }

    private int Slot(ReadOnlySpan<int> blocks, int position) =>
        (blocks[position / _kv.BlockSize] * _kv.BlockSize) + (position % _kv.BlockSize);

    private sealed class Row(string? salt)
    {
        public BlockTable Table { get; } = new(salt);

        public List<int> Tokens { get; } = [];

        public int Computed { get; set; }
    }
}
