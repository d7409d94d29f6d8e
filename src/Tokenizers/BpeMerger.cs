using System.Buffers;
using System.Runtime.CompilerServices;

namespace LocalLlm.Tokenizers;

/// <summary>
/// Byte-pair merging: repeatedly merges the adjacent pair of lowest rank, the leftmost one among equals (the order of Hugging
/// Face's tokenizers). Short words are scanned; long ones use a heap, O(n log n) for any text.
/// </summary>
internal static class BpeMerger
{
    private const int ScanLimit = 24;

    /// <summary>Merges <paramref name="symbols"/> in place and returns how many remain.</summary>
    /// <param name="symbols">Token ids of single characters or bytes.</param>
    /// <param name="merges">The merges by pair.</param>
    /// <param name="forbidden">Ids that no merge may produce, or null.</param>
    public static int Merge(Span<int> symbols, MergeTable merges, IdSet? forbidden) =>
        symbols.Length <= ScanLimit ? MergeByScan(symbols, merges, forbidden) : MergeByHeap(symbols, merges, forbidden);

    public static int MergeByScan(Span<int> symbols, MergeTable merges, IdSet? forbidden)
    {
        var count = symbols.Length;
        Span<int> ranks = count <= 64 ? stackalloc int[64] : new int[count];
        Span<int> results = count <= 64 ? stackalloc int[64] : new int[count];
        for (var i = 0; i + 1 < count; i++)
            ranks[i] = Rank(merges, forbidden, symbols[i], symbols[i + 1], out results[i]);
        while (true)
        {
            var best = int.MaxValue;
            var at = -1;
            for (var i = 0; i + 1 < count; i++)
            {
                if (ranks[i] >= 0 && ranks[i] < best)
                {
                    best = ranks[i];
                    at = i;
                }
            }

            if (at < 0)
                return count;
            symbols[at] = results[at];
            symbols[(at + 2)..count].CopyTo(symbols[(at + 1)..]);
            ranks[(at + 1)..count].CopyTo(ranks[at..]);
            results[(at + 1)..count].CopyTo(results[at..]);
            count--;
            if (at > 0)
                ranks[at - 1] = Rank(merges, forbidden, symbols[at - 1], symbols[at], out results[at - 1]);
            if (at + 1 < count)
                ranks[at] = Rank(merges, forbidden, symbols[at], symbols[at + 1], out results[at]);
        }
    }

    // Compiled fully optimised at once: the first long text must not run in code meant for short ones.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int MergeByHeap(Span<int> symbols, MergeTable merges, IdSet? forbidden)
    {
        var count = symbols.Length;
        var links = ArrayPool<int>.Shared.Rent(2 * count);
        var previous = links.AsSpan(0, count);
        var next = links.AsSpan(count, count);
        var heap = new MergeHeap(count);
        try
        {
            for (var i = 0; i < count; i++)
            {
                previous[i] = i - 1;
                next[i] = i + 1 < count ? i + 1 : -1;
                if (i + 1 < count && Rank(merges, forbidden, symbols[i], symbols[i + 1], out _) is >= 0 and var rank)
                    heap.Append(rank, i);
            }

            heap.Heapify();
            while (heap.TryPop(out var rank, out var at))
            {
                // An entry is stale when its pair has changed since it was added: ranks are unique to pairs.
                var right = next[at];
                if (right < 0 || symbols[at] < 0
                    || Rank(merges, forbidden, symbols[at], symbols[right], out var merged) != rank)
                    continue;
                symbols[at] = merged;
                symbols[right] = -1;
                var after = next[right];
                next[at] = after;
                if (after >= 0)
                    previous[after] = at;
                var before = previous[at];
                if (before >= 0 && Rank(merges, forbidden, symbols[before], merged, out _) is >= 0 and var leftRank)
                    heap.Push(leftRank, before);
                if (after >= 0 && Rank(merges, forbidden, merged, symbols[after], out _) is >= 0 and var rightRank)
                    heap.Push(rightRank, at);
            }

            var kept = 0;
            foreach (var symbol in symbols)
            {
                if (symbol >= 0)
                    symbols[kept++] = symbol;
            }

            return kept;
        }
        finally
        {
            ArrayPool<int>.Shared.Return(links);
            heap.Dispose();
        }
    }

    private static int Rank(MergeTable merges, IdSet? forbidden, int left, int right, out int merged)
    {
        var rank = merges.Rank(left, right, out merged);
        return rank >= 0 && forbidden is not null && forbidden.Contains(merged) ? -1 : rank;
    }
}
