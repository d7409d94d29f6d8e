using LocalLlm.Tool.Bench;
using Xunit;

namespace LocalLlm.Tool.Tests.Bench;

public class DistributionTests
{
    [Theory]
    [InlineData(0, 1)]
    [InlineData(50, 2.5)]
    [InlineData(90, 3.7)]
    [InlineData(100, 4)]
    public void Percentiles_are_numpys(double percent, double expected) => Assert.Equal(expected, Distribution.Percentile([1, 2, 3, 4], percent), 12);

    [Fact]
    public void Order_does_not_matter_and_the_scale_applies() => Assert.Equal(new(2000, 2000, 2980), Distribution.Of([3, 1, 2], 1000));

    [Fact]
    public void Nothing_gives_zeros() => Assert.Equal(default, Distribution.Of([]));

    [Fact]
    public void Prompts_are_the_same_for_the_same_seed_and_differ_within_a_run()
    {
        var prompts = new RandomPrompts(1000, 5).Next(3, 20);
        Assert.Equal(prompts, new RandomPrompts(1000, 5).Next(3, 20));
        Assert.NotEqual(prompts, new RandomPrompts(1000, 6).Next(3, 20));
        Assert.NotEqual(prompts[0], prompts[1]);
        Assert.All(prompts, prompt => Assert.All(prompt, id => Assert.InRange(id, 0, 999)));
    }
}
