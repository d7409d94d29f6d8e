using LocalLlm.KvCache;
using Xunit;

namespace LocalLlm.Tests.KvCache;

public class PrefixCacheTests
{
    [Theory]
    [InlineData(15, 0)]
    [InlineData(16, 0)] // the only block: its last token must be computed
    [InlineData(17, 16)]
    [InlineData(32, 16)]
    [InlineData(33, 32)]
    [InlineData(48, 32)]
    [InlineData(49, 48)]
    public void A_repeated_prompt_hits_its_full_blocks_but_never_its_last_token(int length, int hit)
    {
        var kv = new KvCacheManager(16);
        var prompt = Tokens(length);
        Compute(kv, new BlockTable(), prompt);
        Assert.Equal(hit, Hit(kv, prompt));
    }

    [Fact]
    public void A_longer_or_shorter_or_differing_prompt_hits_exactly_the_shared_blocks()
    {
        var kv = new KvCacheManager(16);
        var prompt = Tokens(64);
        Compute(kv, new BlockTable(), prompt);

        Assert.Equal(64, Hit(kv, [.. prompt, 7]));
        Assert.Equal(48, Hit(kv, prompt[..63]));
        Assert.Equal(32, Hit(kv, prompt[..33]));
        for (var i = 0; i < 64; i++)
        {
            int[] other = [.. prompt, 7];
            other[i] ^= 1;
            Assert.Equal(i / 16 * 16, Hit(kv, other));
        }
    }

    [Fact]
    public void Another_salt_never_hits()
    {
        var kv = new KvCacheManager(16);
        var prompt = Tokens(40);
        Compute(kv, new BlockTable("tenant a"), prompt);

        Assert.Equal(32, Hit(kv, prompt, "tenant a"));
        Assert.Equal(0, Hit(kv, prompt, "tenant b"));
        Assert.Equal(0, Hit(kv, prompt, ""));
        Assert.Equal(0, Hit(kv, prompt, null));
    }

    [Fact]
    public void A_forged_hash_collision_never_hits()
    {
        var kv = new KvCacheManager(64, hasher: new ConstantHasher());
        var prompt = Tokens(64);
        Compute(kv, new BlockTable("a"), prompt);
        Compute(kv, new BlockTable("b"), [.. prompt.Reverse()]);

        Assert.Equal(48, Hit(kv, prompt, "a"));
        Assert.Equal(0, Hit(kv, prompt, "b"));
        Assert.Equal(0, Hit(kv, prompt));
        Assert.Equal(0, Hit(kv, Tokens(64, first: 1000), "a"));
    }

    [Fact]
    public void The_same_tokens_after_another_parent_never_hit_even_when_hashes_collide()
    {
        var kv = new KvCacheManager(64, hasher: new ConstantHasher());
        int[] a = Tokens(16, first: 0), b = Tokens(16, first: 100), tail = Tokens(16, first: 500);
        Compute(kv, new BlockTable(), [.. a, .. tail]);
        Compute(kv, new BlockTable(), b);

        // Both b and the tail's block are cached. The tail is cached neither after b nor at the beginning of a prompt.
        Assert.Equal(16, Hit(kv, [.. b, .. tail, 1]));
        Assert.Equal(0, Hit(kv, [.. tail, 1]));
        Assert.Equal(32, Hit(kv, [.. a, .. tail, 1]));
    }

    [Fact]
    public void Blocks_that_no_completed_step_computed_never_hit()
    {
        var kv = new KvCacheManager(16);
        var prompt = Tokens(64);
        var table = new BlockTable();
        Assert.True(kv.TryAllocate(table, 64));
        Assert.Equal(0, Hit(kv, prompt));
        kv.CacheBlocks(table, prompt, numComputedTokens: 31);
        Assert.Equal(16, Hit(kv, prompt));
        kv.Free(table);
        Assert.Equal(16, Hit(kv, prompt));
    }

    [Fact]
    public void Eviction_takes_the_tail_of_a_freed_sequence_first()
    {
        var kv = new KvCacheManager(8);
        var prompt = Tokens(65);
        Compute(kv, new BlockTable(), prompt); // 4 full blocks and a partial one
        for (var taken = 1; taken <= 8; taken++)
        {
            var other = new BlockTable();
            Assert.True(kv.TryAllocate(other, taken * 16));
            // The 4 blocks that are not cached are taken first; then the tail goes, block by block.
            Assert.Equal(16 * int.Min(4, 8 - taken), Hit(kv, prompt));
            kv.Free(other);
            Compute(kv, new BlockTable(), prompt);
        }
    }

    [Fact]
    public void A_hit_block_that_was_free_is_not_handed_out_as_new_at_the_same_time()
    {
        var kv = new KvCacheManager(4);
        var prompt = Tokens(50);
        Compute(kv, new BlockTable(), prompt);

        var table = new BlockTable();
        var hits = kv.FindComputedBlocks(table, prompt);
        Assert.Equal(3, hits.Length);
        Assert.False(kv.TryAllocate(table, 65, hits));
        Assert.Equal((4, 0), (kv.NumFreeBlocks, table.Count));
        Assert.True(kv.TryAllocate(table, 50, hits));
        Assert.Equal(4, table.Blocks.ToArray().Distinct().Count());
        kv.CheckIntegrity([table]);
    }

    [Fact]
    public void Sequences_that_computed_the_same_prefix_side_by_side_are_both_kept()
    {
        var kv = new KvCacheManager(16);
        var prompt = Tokens(33);
        BlockTable first = new(), second = new();
        Assert.True(kv.TryAllocate(first, 33) && kv.TryAllocate(second, 33));
        kv.CacheBlocks(first, prompt, 33);
        kv.CacheBlocks(second, prompt, 33);
        Assert.Equal(4, kv.NumCachedBlocks);

        // Whichever copy is removed, the other one is found, including its deeper blocks.
        kv.Distrust(first);
        Assert.Equal(32, Hit(kv, prompt));
        kv.Free(first);
        kv.Free(second);
        kv.CheckIntegrity([]);
    }

    [Fact]
    public void After_a_reset_nothing_computed_before_it_hits_nor_what_is_built_on_it()
    {
        var kv = new KvCacheManager(16);
        var prompt = Tokens(64);
        var running = new BlockTable();
        Assert.True(kv.TryAllocate(running, 64));
        kv.CacheBlocks(running, prompt, 20);
        kv.ResetPrefixCache();
        Assert.Equal(0, Hit(kv, prompt));
        kv.CacheBlocks(running, prompt, 64);
        Assert.Equal(0, Hit(kv, prompt));
        kv.Free(running);
        Compute(kv, new BlockTable(), prompt);
        Assert.Equal(48, Hit(kv, prompt));
        kv.CheckIntegrity([]);
    }

    [Fact]
    public void What_a_failed_sequence_wrote_or_read_never_hits_again()
    {
        var kv = new KvCacheManager(16);
        var prompt = Tokens(64);
        var table = new BlockTable();
        Assert.True(kv.TryAllocate(table, 64));
        kv.CacheBlocks(table, prompt, 40);
        kv.Distrust(table);
        kv.CacheBlocks(table, prompt, 64);
        kv.Free(table);
        Assert.Equal(0, Hit(kv, prompt));
        Assert.Equal(0, kv.NumCachedBlocks);
    }

    [Fact]
    public void Switched_off_it_neither_hits_nor_keeps()
    {
        var kv = new KvCacheManager(16, enablePrefixCaching: false);
        var prompt = Tokens(64);
        Compute(kv, new BlockTable(), prompt);
        Assert.Equal(0, Hit(kv, prompt));
        Assert.Equal(0, kv.NumCachedBlocks);
    }

    private static int[] Tokens(int count, int first = 0) => [.. Enumerable.Range(first, count)];

    private static void Compute(KvCacheManager kv, BlockTable table, int[] tokens)
    {
        Assert.True(kv.TryAllocate(table, tokens.Length, kv.FindComputedBlocks(table, tokens)));
        kv.CacheBlocks(table, tokens, tokens.Length);
        kv.Free(table);
        kv.CheckIntegrity([]);
    }

    private static int Hit(KvCacheManager kv, int[] tokens, string? salt = null) =>
        kv.FindComputedBlocks(new BlockTable(salt), tokens).Length * kv.BlockSize;

    private sealed class ConstantHasher : IBlockHasher
    {
        public ulong Hash(ulong parentHash, ReadOnlySpan<int> tokenIds, ReadOnlySpan<char> extra) => 42;
    }
}
