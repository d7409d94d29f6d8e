namespace LocalLlm.KvCache;

/// <summary>Draws the blocks of a KV cache as characters, for people who watch it.</summary>
internal static class KvBlockMap
{
    private const int Shares = 9;

    /// <summary>A character a cell, as <see cref="LlmEngine.MapKvBlocksAsync"/> says.</summary>
    public static string Draw(KvCacheManager cache, int cells)
    {
        var count = Math.Min(cells, cache.NumBlocks);
        return string.Create(count, cache, static (map, blocks) =>
        {
            for (var cell = 0; cell < map.Length; cell++)
                map[cell] = Cell(blocks, First(cell, map.Length), First(cell + 1, map.Length));

            int First(int cell, int length) => (int)((long)blocks.NumBlocks * cell / length);
        });
    }

    private static char Cell(KvCacheManager cache, int first, int end)
    {
        var (held, cached) = (0, false);
        for (var block = first; block < end; block++)
        {
            if (cache.References(block) > 0)
                held++;
            else
                cached |= cache.IsCached(block);
        }

        if (held == 0)
            return cached ? 'c' : '.';
        return (char)('0' + (((held * Shares) + (end - first) - 1) / (end - first)));
    }
}
