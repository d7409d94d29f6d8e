using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class BpeMergerTests
{
    [Fact]
    public void Heap_and_scan_merge_as_the_definition_does()
    {
        var random = new Random(5);
        for (var round = 0; round < 400 * TokenizerFolders.FuzzFactor; round++)
        {
            // Token texts over two letters; a merge joins any two of them, so ranks are not ordered by length.
            var texts = new List<string> { "a", "b" };
            var merges = new MergeTable();
            var pairs = new Dictionary<(int, int), (int Rank, int Merged)>();
            for (var rank = 0; rank < random.Next(1, 14); rank++)
            {
                var (left, right) = (random.Next(texts.Count), random.Next(texts.Count));
                var text = texts[left] + texts[right];
                if (!texts.Contains(text))
                    texts.Add(text);
                merges.Set(left, right, rank, texts.IndexOf(text));
                pairs[(left, right)] = (rank, texts.IndexOf(text));
            }

            var forbidden = random.Next(3) == 0 ? new IdSet([random.Next(2, 2 + texts.Count)]) : null;
            var symbols = Enumerable.Range(0, random.Next(1, 60)).Select(_ => random.Next(2)).ToArray();
            var expected = ByDefinition(symbols, pairs, forbidden);
            Assert.Equal(expected, Merged(symbols, s => BpeMerger.MergeByScan(s, merges, forbidden)));
            Assert.Equal(expected, Merged(symbols, s => BpeMerger.MergeByHeap(s, merges, forbidden)));
            Assert.Equal(expected, Merged(symbols, s => BpeMerger.Merge(s, merges, forbidden)));
        }
    }

    private static int[] Merged(int[] symbols, Func<int[], int> merge)
    {
        var copy = symbols.ToArray();
        return copy[..merge(copy)];
    }

    private static List<int> ByDefinition(int[] symbols, Dictionary<(int, int), (int Rank, int Merged)> merges, IdSet? forbidden)
    {
        var word = symbols.ToList();
        while (true)
        {
            var best = Enumerable.Range(0, word.Count - 1)
                .Where(i => merges.TryGetValue((word[i], word[i + 1]), out var m) && forbidden?.Contains(m.Merged) != true)
                .Select(i => (merges[(word[i], word[i + 1])].Rank, At: i)).DefaultIfEmpty((-1, -1)).Min();
            if (best.Item1 < 0)
                return word;
            word[best.Item2] = merges[(word[best.Item2], word[best.Item2 + 1])].Merged;
            word.RemoveAt(best.Item2 + 1);
        }
    }
}
