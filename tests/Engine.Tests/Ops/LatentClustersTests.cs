using LocalLlm.Ops.Cuda;
using Xunit;

namespace LocalLlm.Tests.Ops;

/// <summary>Which rows of latent attention are computed by clusters; needs no card.</summary>
public sealed class LatentClustersTests
{
    private const int Multiprocessors = 132;

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(64)]
    [InlineData(128)]
    public void All_clusters_of_a_step_have_a_multiprocessor_for_each_block(int heads)
    {
        for (var rows = 1; rows <= 200; rows++)
        {
            foreach (var context in (int[])[1, 1000, 5000, 200_000])
            {
                foreach (var size in LatentClusters.Sizes(rows, heads, context, Multiprocessors))
                {
                    var clusters = LatentClusters.ClustersOfRow(rows, heads, context, Multiprocessors / size);
                    Assert.InRange(rows * ((heads + 15) / 16) * clusters * size, 1, Multiprocessors);
                    Assert.True(clusters == 1 || (clusters - 1) * LatentClusters.MinShare < context);
                }
            }
        }
    }

    [Theory]
    [InlineData(1, 16, 1000, 16, 8)]
    [InlineData(8, 16, 1000, 16, 8)]
    [InlineData(16, 16, 100_000, 8)]
    [InlineData(17, 16, 1000)]
    [InlineData(1, 128, 1000, 16, 8)]
    [InlineData(2, 128, 1000, 8)]
    [InlineData(3, 128, 1000)]
    [InlineData(1, 128, 100_000)]
    [InlineData(1, 32, 100_000, 16, 8)]
    public void Few_rows_go_by_the_largest_clusters_that_fit(int rows, int heads, int context, params int[] sizes) =>
        Assert.Equal(sizes, LatentClusters.Sizes(rows, heads, context, Multiprocessors));

    [Fact]
    public void Long_contexts_have_as_many_clusters_as_fit() =>
        Assert.Equal(7, LatentClusters.ClustersOfRow(1, 16, 100_000, 7));
}
