namespace LocalLlm.KvCache;

/// <summary>Draws the blocks of KV caches as characters, for people to watch.</summary>
internal static class KvBlockMap
{
    private const int Shares = 9;

    /// <summary>Draws one character for each cell, as <see cref="LlmEngine.MapKvBlocksAsync"/> documents.</summary>
    /// <param name="caches">Caches of one size, drawn one after the other.</param>
    /// <param name="cells">Max number of characters.</param>
    public static string Draw(IReadOnlyList<KvCacheManager> caches, int cells)
    {
        var total = (long)caches[0].NumBlocks * caches.Count;
        return string.Create((int)Math.Min(cells, total), (Caches: caches, Total: total), static (map, blocks) =>
        {
            for (var cell = 0; cell < map.Length; cell++)
                map[cell] = Cell(blocks.Caches, blocks.Total * cell / map.Length, blocks.Total * (cell + 1) / map.Length);
        });
    }

    private static char Cell(IReadOnlyList<KvCacheManager> caches, long first, long end)
    {
        var (held, cached) = (0, false);
        for (var place = first; place < end; place++)
        {
            var (cache, block) = (caches[(int)(place / caches[0].NumBlocks)], (int)(place % caches[0].NumBlocks));
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
