using LocalLlm.Execution;
using LocalLlm.KvCache;
using LocalLlm.Scheduling;
using LocalLlm.Tests.KvCache;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

/// <summary>
/// A model that is a pure function of the tokens before it, computed only through the block tables it is given. Each slot of its KV cache
/// holds the <see cref="PrefixChain"/> up to that position, so a slot that was never written, or was written for another prefix, tenant or
/// owner, is noticed at once.
/// </summary>
internal sealed class PagedModel
{
    private readonly KvCacheManager _kv;
    private readonly int _vocabulary;
    private readonly ulong[] _slots;
    private readonly bool[] _wasHeld;
    private readonly Dictionary<long, int> _lastSampled = [];

    public PagedModel(KvCacheManager kv, int vocabulary)
    {
        _kv = kv;
        _vocabulary = vocabulary;
        _slots = new ulong[kv.NumBlocks * kv.BlockSize];
        _wasHeld = new bool[kv.NumBlocks];
        Array.Fill(_slots, PrefixChain.Poison);
    }

    /// <summary>Tokens computed so far, recomputed ones included.</summary>
    public long ComputedTokens { get; private set; }

    /// <summary>The next token after a prefix.</summary>
    public static int NextToken(ulong prefix, int vocabulary) => (int)((prefix >> 20) % (uint)vocabulary);

    /// <summary>What the model generates when it runs alone.</summary>
    public static int[] Generate(string? salt, ReadOnlySpan<int> prompt, int count, int vocabulary, Func<ulong, bool> stopsAfter)
    {
        var output = new List<int>();
        var prefix = PrefixChain.Of(salt, prompt);
        while (output.Count < count)
        {
            output.Add(NextToken(prefix, vocabulary));
            prefix = PrefixChain.Next(prefix, output[^1]);
            if (stopsAfter(prefix))
                break;
        }

        return [.. output];
    }

    /// <summary>
    /// Overwrites what may no longer be read: free blocks that cannot be hit, and blocks that just got a new owner. Call it after
    /// everything that may free or assign blocks.
    /// </summary>
    public void PoisonUnowned()
    {
        for (var block = 0; block < _kv.NumBlocks; block++)
        {
            var held = _kv.References(block) > 0;
            if (!_kv.IsCached(block) && (!held || !_wasHeld[block]))
                _slots.AsSpan(block * _kv.BlockSize, _kv.BlockSize).Fill(PrefixChain.Poison);
            _wasHeld[block] = held;
        }
    }

    /// <summary>Computes one step.</summary>
    /// <param name="output">The step.</param>
    /// <param name="find">Finds the sequence of an id, as the test knows it (it may have ended).</param>
    /// <param name="isStale">Whether the result of a sequence's entry will not be used: such an entry may read anything.</param>
    /// <returns>The sampled tokens of each entry: one per correct draft, and one more; none where the entry samples none.</returns>
    public int[][] Run(SchedulerOutput output, Func<long, Sequence> find, Predicate<long> isStale)
    {
        var sampled = new int[output.Sequences.Count][];
        for (var i = 0; i < sampled.Length; i++)
        {
            var entry = output.Sequences[i];
            Assert.True(
                entry.BlockTable.Length * _kv.BlockSize >= entry.FirstPosition + entry.TokenIds.Length,
                "the block table does not cover the chunk");
            if (!isStale(entry.SequenceId))
                CheckContext(entry, find(entry.SequenceId));
            sampled[i] = Compute(entry, find(entry.SequenceId).Blocks.CacheSalt);
            if (entry.SamplesToken)
                _lastSampled[entry.SequenceId] = sampled[i][^1];
        }

        return sampled;
    }

    /// <summary>Asserts that everything that was computed or hit before is there.</summary>
    private void CheckContext(ScheduledSequence entry, Sequence truth)
    {
        var prefix = PrefixChain.Start(truth.Blocks.CacheSalt);
        for (var p = 0; p < entry.FirstPosition; p++)
        {
            prefix = PrefixChain.Next(prefix, truth.TokenIds[p]);
            if (_slots[Slot(entry.BlockTable.Span, p)] != prefix)
                Assert.Fail($"sequence {entry.SequenceId} reads position {p} of {entry.FirstPosition} that does not hold its prefix");
        }
    }

    private int[] Compute(ScheduledSequence entry, string? salt)
    {
        var sampled = new List<int>();
        var blocks = entry.BlockTable.Span;
        var prefix = entry.FirstPosition == 0 ? PrefixChain.Start(salt) : _slots[Slot(blocks, entry.FirstPosition - 1)];
        for (var i = 0; i < entry.TokenIds.Length; i++)
        {
            var token = entry.TokenIds.Span[i];
            prefix = PrefixChain.Next(prefix, token == ScheduledSequence.UnknownToken ? _lastSampled.GetValueOrDefault(entry.SequenceId) : token);
            _slots[Slot(blocks, entry.FirstPosition + i)] = prefix;
            // A draft's row counts only where all drafts up to it were right.
            var draft = i - (entry.TokenIds.Length - entry.NumDrafts);
            if (entry.SamplesToken && draft >= -1 && sampled.Count == draft + 1 && (draft < 0 || sampled[draft] == token))
                sampled.Add(NextToken(prefix, _vocabulary));
        }

        ComputedTokens += entry.TokenIds.Length;
        return [.. sampled];
    }

    private int Slot(ReadOnlySpan<int> blocks, int position) =>
        (blocks[position / _kv.BlockSize] * _kv.BlockSize) + (position % _kv.BlockSize);
}
