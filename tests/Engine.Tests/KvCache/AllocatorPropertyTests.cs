using Xunit;

namespace LocalLlm.Tests.KvCache;

public class AllocatorPropertyTests
{
    [Theory]
    [InlineData(1, 24, 4, false)]
    [InlineData(2, 24, 4, true)]
    [InlineData(3, 7, 2, false)]
    [InlineData(4, 64, 16, true)]
    [InlineData(5, 5, 1, false)]
    [InlineData(6, 5, 1, true)]
    [InlineData(7, 12, 16, false)]
    [InlineData(8, 12, 3, true)]
    [InlineData(9, 33, 2, false)]
    [InlineData(10, 100, 4, false)]
    public void Random_operations_keep_every_invariant(int seed, int numBlocks, int blockSize, bool failures)
    {
        var world = new AllocatorWorld(seed, numBlocks, blockSize, failures);
        for (var i = Fuzz.Times(10_000); i > 0; i--)
            world.Step();
        world.FreeAll();
        Assert.True(world.Hits > 0 && world.Refusals > 0 && world.Evictions > 0, world.ToString());
    }
}
