using LocalLlm.KvCache;
using Xunit;

namespace LocalLlm.Tests.KvCache;

public class KvCacheManagerTests
{
    [Fact]
    public void An_allocation_that_does_not_fit_changes_nothing()
    {
        var kv = new KvCacheManager(4);
        var table = new BlockTable();
        Assert.True(kv.TryAllocate(table, 17));
        Assert.False(kv.TryAllocate(table, 65));
        Assert.Equal((2, 2), (table.Count, kv.NumFreeBlocks));
        Assert.True(kv.TryAllocate(table, 64));
        Assert.Equal(1.0, kv.Usage);
        kv.CheckIntegrity([table]);
    }

    [Fact]
    public void A_table_grows_only_at_block_boundaries_and_keeps_its_blocks()
    {
        var kv = new KvCacheManager(4, blockSize: 4);
        var table = new BlockTable();
        for (var tokens = 1; tokens <= 16; tokens++)
        {
            var before = table.Blocks.ToArray();
            Assert.True(kv.TryAllocate(table, tokens));
            Assert.Equal((tokens + 3) / 4, table.Count);
            Assert.Equal(before, table.Blocks.ToArray()[..before.Length]);
        }
    }

    [Fact]
    public void A_lost_block_is_reported_with_its_numbers()
    {
        var kv = new KvCacheManager(4);
        var table = new BlockTable();
        Assert.True(kv.TryAllocate(table, 20));
        var error = Assert.Throws<EngineException>(() => kv.CheckIntegrity([]));
        Assert.Equal(EngineErrorKind.EngineDead, error.Kind);
        Assert.Contains("1 references but 0 live sequences", error.Message, StringComparison.Ordinal);
        error = Assert.Throws<EngineException>(() => kv.CheckIntegrity([table, table]));
        Assert.Contains("1 references but 2 live sequences", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 16)]
    [InlineData(-1, 16)]
    [InlineData(4, 0)]
    [InlineData(int.MaxValue, 16)]
    public void Impossible_sizes_are_refused_before_any_memory_is_taken(int blocks, int blockSize)
    {
        var error = Assert.Throws<EngineException>(() => new KvCacheManager(blocks, blockSize));
        Assert.Equal(EngineErrorKind.InvalidOptions, error.Kind);
    }

    [Fact]
    public void The_block_hash_depends_on_parent_tokens_their_order_salt_and_key()
    {
        var hasher = new BlockHasher(1);
        var hashes = new HashSet<ulong>
        {
            hasher.Hash(0, [1, 2, 3], ""),
            hasher.Hash(0, [1, 3, 2], ""),
            hasher.Hash(5, [1, 2, 3], ""),
            hasher.Hash(0, [1, 2, 3], "a"),
            hasher.Hash(0, [1, 2, 3], "b"),
            hasher.Hash(0, ['a', 1, 2, 3], ""),
            new BlockHasher(2).Hash(0, [1, 2, 3], ""),
        };
        Assert.Equal(7, hashes.Count);
        Assert.Equal(hasher.Hash(5, [1, 2], "x"), new BlockHasher(1).Hash(5, [1, 2], "x"));
    }

    [Fact]
    public void The_block_hash_spreads_blocks_of_a_tiny_vocabulary()
    {
        var hasher = new BlockHasher(7);
        var hashes = new HashSet<ulong>();
        var low = new HashSet<ulong>();
        Span<int> tokens = stackalloc int[16];
        for (var bits = 0; bits < 65536; bits++)
        {
            for (var i = 0; i < 16; i++)
                tokens[i] = (bits >> i) & 1;
            var hash = hasher.Hash(0, tokens, "");
            hashes.Add(hash);
            low.Add(hash & 0xFFFF);
        }

        Assert.Equal(65536, hashes.Count);
        Assert.InRange(low.Count, 40_000, 43_000); // 65536 (1 - 1/e) = 41,427 expected of a random function
    }
}
