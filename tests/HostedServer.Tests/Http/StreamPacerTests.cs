using LocalLlm.Server.Http;
using Xunit;

namespace LocalLlm.Server.Tests.Http;

public sealed class StreamPacerTests
{
    [Theory]
    [InlineData(1000, 1, 0)]
    [InlineData(1000, 32, 32)]
    [InlineData(1000, 51, 50)]
    [InlineData(10, 1000, 50)]
    [InlineData(0, 1000, 0)]
    public void Streams_share_the_events_of_a_second_and_none_is_more_than_50_ms_late(int eventsPerSecond, int streams, int milliseconds)
    {
        var pacer = new StreamPacer(new() { MaxEventsPerSecond = eventsPerSecond });
        for (var i = 0; i < streams; i++)
            pacer.Enter();
        Assert.Equal(milliseconds, pacer.Pause().TotalMilliseconds, 0.001);
    }

    [Fact]
    public void A_stream_that_has_ended_leaves_its_share_to_the_others()
    {
        var pacer = new StreamPacer(new() { MaxEventsPerSecond = 1000 });
        for (var i = 0; i < 10; i++)
            pacer.Enter();
        var place = pacer.Enter();
        place.Dispose();
        place.Dispose();
        Assert.Equal(10, pacer.Pause().TotalMilliseconds, 0.001);
    }
}
