using LocalLlm.Interop;
using LocalLlm.Ops.Cuda;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>How products on warpgroups are cut into tiles; needs no card.</summary>
public sealed class WarpgroupTilingTests
{
    public static TheoryData<int> Rows => [1, 2, 8, 9, 16, 31, 33, 64, 65, 128, 129, 4096];

    [Theory]
    [MemberData(nameof(Rows))]
    public void Every_cut_fits_a_multiprocessor_and_leaves_room_for_its_sums(int rows)
    {
        foreach (var outputs in (int[])[16, 130, 576, 2112, 7168, 36864, 129280])
        {
            foreach (var inputs in (int[])[16, 128, 400, 2048, 7168, 18432])
            {
                foreach (var products in (int[])[1, 8, 256])
                {
                    foreach (var fp8 in (bool[])[false, true])
                    {
                        var cut = WarpgroupTiling.Of(rows, outputs, inputs, products, fp8, 132);
                        Assert.InRange(cut.SharedBytes, 1, WarpgroupTiling.MaxSharedBytes);
                        Assert.InRange(cut.SumBytes, 1, cut.SharedBytes - 1024);
                        Assert.InRange(cut.Stages, 3, 8);
                        Assert.Contains(cut.Splits, (int[])[1, 2, 4, 8]);
                        Assert.True(cut.Splits == 1 || products == 1);
                        Assert.True(cut.Blocks(outputs) * cut.Threads / 2 >= outputs);
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData(1, 8)]
    [InlineData(9, 16)]
    [InlineData(100, 128)]
    [InlineData(129, 128)]
    public void Rows_at_once_are_the_smallest_tile_that_holds_all(int rows, int expected)
    {
        Assert.Equal(expected, WarpgroupTiling.RowsAtOnce(rows));
        Assert.Equal(expected, WarpgroupTiling.Of(rows, 4096, 7168, 1, fp8: true, 132).Rows);
    }

    [Fact]
    public void Lists_of_tiles_have_room_for_any_spread_of_rows_over_experts()
    {
        var random = new Random(1);
        for (var i = 0; i < 2000; i++)
        {
            var (experts, assignments) = (random.Next(1, 300), random.Next(1, 3000));
            var counts = new int[experts];
            var favourites = random.Next(1, experts + 1);
            for (var a = 0; a < assignments; a++)
                counts[random.Next(favourites)]++;
            var rows = new ExpertRows(assignments, 4, experts, IsSmall: i % 2 == 0, 4096);
            Assert.True(counts.Sum(count => (count + rows.RowsOfTile - 1) / rows.RowsOfTile) <= rows.MaxTiles);
            Assert.InRange(rows.Order + ((ulong)assignments * sizeof(int)), 4096ul, 4096ul + ((ulong)rows.Length * sizeof(int)));
        }
    }

    // Tests and benchmarks give these lists to the kernels in place of experts.cu's own.
    [Theory]
    [InlineData(1, 8, 2)]
    [InlineData(17, 6, 2)]
    [InlineData(300, 5, 4)]
    public void Lists_sorted_on_the_host_name_every_row_of_every_expert_once(int tokens, int experts, int perToken)
    {
        TorchLibrary.EnsureLoaded();
        var random = new Random(2);
        int[] ids = [.. Enumerable.Range(0, tokens).SelectMany(_ => Enumerable.Range(0, experts).OrderBy(_ => random.Next()).Take(perToken))];
        using var sorted = SortedExperts.Of(ids, experts, perToken, CPU);
        var rows = sorted.Rows;
        var memory = sorted.Memory.data<int>().ToArray();
        int[] At(ulong address, int count) => memory.AsSpan((int)(address - rows.Memory) / sizeof(int), count).ToArray();

        Assert.InRange(memory.Length, (int)((rows.Order - rows.Memory) / sizeof(int)) + ids.Length, rows.Length);
        var (tiles, starts, order) = (At(rows.Tiles, 2 * rows.MaxTiles), At(rows.Starts, experts + 1), At(rows.Order, ids.Length));
        var named = new List<int>();
        for (var i = 0; i < rows.MaxTiles && tiles[2 * i] >= 0; i++)
        {
            var (expert, first) = (tiles[2 * i], tiles[(2 * i) + 1] * rows.RowsOfTile);
            for (var row = starts[expert] + first; row < Math.Min(starts[expert + 1], starts[expert] + first + rows.RowsOfTile); row++)
            {
                Assert.Equal(expert, ids[order[row]]);
                named.Add(order[row]);
            }
        }

        Assert.Equal(Enumerable.Range(0, ids.Length), named.Order());
        Assert.Equal([.. ids.Distinct().Order(), .. Enumerable.Repeat(-1, experts - ids.Distinct().Count())], At(rows.Active, experts));
    }
}
