using System.Runtime.Intrinsics;
using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class VectorMathTests
{
    [Fact]
    public void Exp_is_within_two_units_in_the_last_place_and_never_rises_above_one()
    {
        var values = Enumerable.Range(0, 200_000).Select(i => -i * (86.9f / 200_000)).ToArray();
        var weights = new float[values.Length];
        VectorMath.Weights(values, 0, 1, weights);
        for (var i = 0; i < values.Length; i++)
        {
            var exact = Math.Exp(values[i]);
            Assert.InRange(weights[i], 0, 1);
            Assert.InRange(Math.Abs(weights[i] - exact) / exact, 0, 2.4e-7);
        }
    }

    [Theory]
    [InlineData(0f, 1f)]
    [InlineData(-87.1f, 0f)]
    [InlineData(float.MinValue, 0f)]
    [InlineData(float.NegativeInfinity, 0f)]
    public void Exp_is_exact_at_its_ends(float y, float expected) => Assert.Equal(expected, VectorMath.Exp(Vector512.Create(y))[3]);

    [Theory]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(1023)]
    [InlineData(1024)]
    [InlineData(1025)]
    [InlineData(5000)]
    public void Sums_and_counts_take_every_element_once(int length)
    {
        var random = new Random(length);
        var row = SamplingKit.Row(random, length);
        var max = row.Max();
        var masses = new double[RowScan.Blocks(length)];
        var expected = row.Sum(x => Math.Exp((double)x - max));
        Assert.Equal(expected, VectorMath.BlockMasses(row, max, 1, masses), expected * 1e-6);
        Assert.Equal(expected, masses.Sum(), expected * 1e-6);
        for (var trial = 0; trial < 20; trial++)
        {
            var index = random.Next(length);
            var before = row.Where((x, i) => x > row[index] || (x == row[index] && i < index)).Count();
            Assert.Equal(before, VectorMath.CountBefore(row, row[index], index));
        }
    }
}
