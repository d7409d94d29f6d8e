using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class RadixSelectTests
{
    private readonly int[] _counts = new int[RadixSelect.Bins];
    private readonly double[] _masses = new double[RadixSelect.MassScratch];

    [Fact]
    public void The_kth_largest_is_that_of_a_sort()
    {
        var random = new Random(1);
        for (var trial = 0; trial < SamplingKit.Fuzz(300); trial++)
        {
            var row = SamplingKit.Row(random, 1 + random.Next(3000));
            var k = 1 + random.Next(row.Length);
            Assert.Equal(row.OrderDescending().ElementAt(k - 1), RadixSelect.KthLargest(row, k, _counts));
        }
    }

    [Fact]
    public void Extreme_values_and_both_zeros_keep_their_order()
    {
        float[] row = [0f, -0f, float.MaxValue, float.MinValue, float.Epsilon, -float.Epsilon, float.NegativeInfinity, 1f, -1f];
        for (var k = 1; k <= row.Length; k++)
            Assert.Equal(row.OrderDescending().ElementAt(k - 1), RadixSelect.KthLargest(row, k, _counts));
    }

    [Theory]
    [InlineData(0.1, 1)]
    [InlineData(1, 1)]
    [InlineData(1.5, 2)]
    [InlineData(4, 4)]
    [InlineData(4.5, 5)]
    [InlineData(100, 5)]
    public void The_smallest_set_that_reaches_the_target_is_kept_lower_ids_first(double target, int expected)
    {
        float[] values = [-0f, 0f, 0f, 0f, -1f];
        float[] weights = [1, 1, 1, 1, 0.4f];
        int[] ids = [3, 5, 8, 9, 11];
        var cut = RadixSelect.ReachMass(values, weights, ids, target, _masses);
        Assert.Equal(expected, ids.Where((id, i) => cut.Keeps(values[i], id)).Count());
        Assert.True(cut.Keeps(0, 3));
    }
}
