namespace LocalLlm.Execution.Cluster;

/// <summary>How long the processes of a replica wait for each other.</summary>
internal sealed record ClusterTimes
{
    /// <summary>For the others to join, and for node 0 to be reached.</summary>
    public TimeSpan Join { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Between two signs of life; three may be missed.</summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>For the first message of a new connection.</summary>
    public static TimeSpan Greeting => TimeSpan.FromSeconds(10);

    /// <summary>Between two attempts to reach node 0.</summary>
    public static TimeSpan Retry => TimeSpan.FromMilliseconds(250);

    /// <summary>What is left of <see cref="Join"/>; zero at least.</summary>
    /// <param name="begin">A timestamp of the system's clock.</param>
    public TimeSpan LeftOf(long begin)
    {
        var left = Join - TimeProvider.System.GetElapsedTime(begin);
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    /// <summary>Of an engine.</summary>
    public static ClusterTimes Of(EngineOptions options) => new() { Join = options.NodeJoinTimeout, Heartbeat = options.NodeHeartbeat };
}
