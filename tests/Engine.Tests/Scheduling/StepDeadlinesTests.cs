using LocalLlm.Scheduling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

public class StepDeadlinesTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact]
    public void The_option_holds_as_it_is()
    {
        var deadlines = StepDeadlines.Of(5 * Second, 300 * Second)!;
        for (var i = 0; i < 10; i++)
            deadlines.Measure(64, Second / 1000);
        Assert.Equal(5 * Second, deadlines.Of(64));
    }

    [Fact]
    public void Without_an_option_or_a_device_limit_there_is_no_deadline() => Assert.Null(StepDeadlines.Of(null, null));

    [Fact]
    public void The_first_steps_of_a_size_have_the_longest_limit_also_after_steps_of_others()
    {
        var deadlines = StepDeadlines.Of(null, 300 * Second)!;
        for (var i = 0; i < 10; i++)
            deadlines.Measure(1, Second / 100);
        Assert.Equal(30 * Second, deadlines.Of(1));
        Assert.Equal(300 * Second, deadlines.Of(2048));
        deadlines.Measure(2048, Second);
        deadlines.Measure(2048, Second);
        Assert.Equal(300 * Second, deadlines.Of(2048));
    }

    [Theory]
    [InlineData(0.001, 30)]
    [InlineData(0.5, 50)]
    [InlineData(20, 300)]
    public void Later_ones_have_a_hundred_times_the_longest_of_about_as_many_tokens(double longest, double limit)
    {
        var deadlines = StepDeadlines.Of(null, 300 * Second)!;
        deadlines.Measure(1024, TimeSpan.FromSeconds(longest / 2));
        deadlines.Measure(1500, TimeSpan.FromSeconds(longest));
        deadlines.Measure(2047, TimeSpan.FromSeconds(longest / 3));
        Assert.Equal(limit, deadlines.Of(1100).TotalSeconds, 6);
    }
}
