using LocalLlm.Tool.Bench;
using Xunit;

namespace LocalLlm.Tool.Tests.Bench;

public class ArrivalTimesTests
{
    [Theory]
    [InlineData(0.3)]
    [InlineData(1)]
    [InlineData(5)]
    public void Gaps_have_the_mean_of_the_rate_and_the_spread_of_the_burstiness(double burstiness)
    {
        const int count = 40_000;
        const double rate = 20;
        var times = ArrivalTimes.Draw(count, rate, burstiness, seed: 3);
        double[] gaps = [.. times.Select((time, i) => time - (i == 0 ? 0 : times[i - 1]))];
        Assert.All(gaps, gap => Assert.True(gap >= 0));
        var mean = gaps.Average();
        var variance = gaps.Average(gap => (gap - mean) * (gap - mean));
        Assert.Equal(1 / rate, mean, 0.05 / rate);
        // A gamma distribution's variance is its squared mean over its shape.
        Assert.Equal(1, variance * rate * rate * burstiness, 0.1);
    }

    [Fact]
    public void Without_a_rate_all_arrive_at_once_and_a_seed_gives_the_same_times_again()
    {
        Assert.All(ArrivalTimes.Draw(10, double.PositiveInfinity, 1, 0), time => Assert.Equal(0, time));
        Assert.Equal(ArrivalTimes.Draw(10, 5, 1, 7), ArrivalTimes.Draw(10, 5, 1, 7));
        Assert.NotEqual(ArrivalTimes.Draw(10, 5, 1, 7), ArrivalTimes.Draw(10, 5, 1, 8));
    }
}
