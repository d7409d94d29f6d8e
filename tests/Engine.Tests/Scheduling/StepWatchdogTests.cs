using LocalLlm.Scheduling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

public sealed class StepWatchdogTests : IDisposable
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly TimerClock _clock = new();
    private readonly List<Exception> _deaths = [];

    public void Dispose() => _clock.Dispose();

    [Fact]
    public void A_step_that_takes_too_long_ends_the_loop_once()
    {
        using var watchdog = new StepWatchdog(StepDeadlines.Of(Second, null), _clock, _deaths.Add);
        watchdog.Begin(1);
        _clock.Advance(Second);
        _clock.Fire();
        _clock.Fire();
        Assert.Contains("step_timeout", Assert.IsType<TimeoutException>(Assert.Single(_deaths)).Message, StringComparison.Ordinal);
        Assert.True(watchdog.Expired.IsCompleted);
        Assert.False(watchdog.End());
    }

    [Fact]
    public void What_is_gone_ends_the_loop_once_whether_it_waits_or_not()
    {
        using var watchdog = new StepWatchdog(null, _clock, _deaths.Add);
        var gone = new IOException("the node is gone");
        watchdog.GiveUp(gone);
        watchdog.GiveUp(new IOException("and another"));
        Assert.Same(gone, Assert.Single(_deaths));
        Assert.True(watchdog.Expired.IsCompleted);
        Assert.False(watchdog.Begin(1));
    }

    [Fact]
    public void A_timer_that_comes_early_is_set_again()
    {
        using var watchdog = new StepWatchdog(StepDeadlines.Of(Second, null), _clock, _deaths.Add);
        watchdog.Begin(1);
        _clock.Advance(Second - TimeSpan.FromTicks(1));
        _clock.Fire();
        Assert.Empty(_deaths);
        Assert.InRange(_clock.Due, TimeSpan.FromTicks(1), TimeSpan.FromMilliseconds(2));
        _clock.Advance(_clock.Due);
        _clock.Fire();
        Assert.Single(_deaths);
    }

    [Fact]
    public void The_timer_of_an_earlier_step_ends_no_later_one()
    {
        using var watchdog = new StepWatchdog(StepDeadlines.Of(Second, null), _clock, _deaths.Add);
        watchdog.Begin(1);
        _clock.Advance(Second);
        Assert.True(watchdog.End());
        watchdog.Begin(1);
        _clock.Fire();
        Assert.Empty(_deaths);
        Assert.True(watchdog.End());
        _clock.Advance(2 * Second);
        _clock.Fire();
        Assert.Empty(_deaths);
    }

    [Fact]
    public void Without_a_limit_any_time_is_allowed()
    {
        using var watchdog = new StepWatchdog(null, _clock, _deaths.Add);
        watchdog.Begin(1);
        Assert.True(watchdog.End());
        Assert.False(watchdog.Expired.IsCompleted);
    }

    [Fact]
    public void The_largest_step_that_is_waited_for_sets_the_limit()
    {
        var deadlines = StepDeadlines.Of(null, 300 * Second)!;
        for (var i = 0; i < 3; i++)
            deadlines.Measure(1, Second / 10);
        using var watchdog = new StepWatchdog(deadlines, _clock, _deaths.Add);
        watchdog.Begin(1);
        Assert.Equal(30 * Second, _clock.Due);
        watchdog.Expect(512);
        Assert.Equal(300 * Second, _clock.Due);
        _clock.Advance(31 * Second);
        _clock.Fire();
        Assert.Empty(_deaths);
        Assert.True(watchdog.End());
    }

    // One timer, which fires when the test says so.
    private sealed class TimerClock : TimeProvider, ITimer
    {
        private long _now;
        private Action _fire = () => { };

        public TimeSpan Due { get; private set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            _fire = () => callback(state);
            return this;
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Due = dueTime;
            return true;
        }

        public void Advance(TimeSpan time) => _now += time.Ticks;

        public void Fire() => _fire();

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
