using LocalLlm.KvCache;
using Xunit;

namespace LocalLlm.Tests.KvCache;

public class BlockPoolTests
{
    [Fact]
    public void Blocks_are_handed_out_once_each_until_none_is_left()
    {
        var pool = new BlockPool(100, index: null);
        var blocks = Enumerable.Range(0, 100).Select(_ => pool.Allocate()).ToArray();

        Assert.Equal(100, blocks.Distinct().Count());
        Assert.All(blocks, b => Assert.InRange(b, 0, 99));
        Assert.Equal(0, pool.NumFree);
        var error = Assert.Throws<EngineException>(() => pool.Allocate());
        Assert.Equal(EngineErrorKind.EngineDead, error.Kind);
        pool.CheckIntegrity();
    }

    [Fact]
    public void A_block_is_free_only_after_its_last_reference_went()
    {
        var pool = new BlockPool(2, index: null);
        var block = pool.Allocate();
        pool.AddReference(block);
        pool.Release(block);
        Assert.Equal(1, pool.NumFree);
        pool.Release(block);
        Assert.Equal(2, pool.NumFree);
        pool.CheckIntegrity();
    }

    [Fact]
    public void Freeing_twice_is_an_error_that_names_the_block()
    {
        var pool = new BlockPool(3, index: null);
        var block = pool.Allocate();
        pool.Release(block);
        var error = Assert.Throws<EngineException>(() => pool.Release(block));
        Assert.Equal(EngineErrorKind.EngineDead, error.Kind);
        Assert.Contains($"block {block} of 3", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Cached_blocks_are_reused_last_and_oldest_first()
    {
        var index = new PrefixIndex(4, 1, new BlockHasher(1));
        var pool = new BlockPool(4, index);
        int[] blocks = [pool.Allocate(), pool.Allocate(), pool.Allocate(), pool.Allocate()];
        for (var i = 0; i < 3; i++)
            index.Add(blocks[i], hash: (ulong)i, PrefixIndex.Root, [i], salt: null);
        foreach (var i in new[] { 2, 0, 3, 1 })
            pool.Release(blocks[i]);

        int[] order = [pool.Allocate(), pool.Allocate(), pool.Allocate(), pool.Allocate()];

        Assert.Equal([blocks[3], blocks[2], blocks[0], blocks[1]], order);
        Assert.Equal(0, index.Count);
    }

    [Fact]
    public void Steady_state_allocates_no_memory()
    {
        var index = new PrefixIndex(64, 4, new BlockHasher(1));
        var pool = new BlockPool(64, index);
        Span<int> held = stackalloc int[32];
        Span<int> tokens = stackalloc int[4];
        Churn(pool, index, held, tokens);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var round = 0; round < 1000; round++)
            Churn(pool, index, held, tokens);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static void Churn(BlockPool pool, PrefixIndex index, Span<int> held, Span<int> tokens)
    {
        for (var i = 0; i < held.Length; i++)
        {
            held[i] = pool.Allocate();
            tokens.Fill(i);
            index.Add(held[i], index.Hash(0, tokens, null), PrefixIndex.Root, tokens, null);
        }

        foreach (var block in held)
        {
            pool.AddReference(block);
            pool.Release(block);
            pool.Release(block);
        }
    }
}
