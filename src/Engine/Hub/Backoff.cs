namespace LocalLlm.Hub;

/// <summary>Retries after 1, 2, 4, 8 seconds, or when the server says; five tries in all.</summary>
internal sealed class Backoff(TimeProvider time)
{
    /// <summary>Max tries in a row without progress.</summary>
    public const int MaxTries = 5;

    private static readonly TimeSpan First = TimeSpan.FromSeconds(1);

    // No user waits longer than this in front of a progress bar.
    private static readonly TimeSpan MaxPatience = TimeSpan.FromMinutes(2);

    /// <summary>Runs an attempt until it succeeds, at most <paramref name="tries"/> times.</summary>
    /// <exception cref="HubFault">The last try failed.</exception>
    public async Task<T> RunAsync<T>(Func<Task<T>> attempt, int tries, CancellationToken cancellationToken)
    {
        for (var failures = 1; ; failures++)
        {
            try
            {
                return await attempt().ConfigureAwait(false);
            }
            catch (HubFault fault) when (failures < tries)
            {
                await WaitAsync(failures, fault, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Waits after several failures in a row.</summary>
    /// <exception cref="HubFault">The server asks for too long a wait.</exception>
    public Task WaitAsync(int failures, HubFault fault, CancellationToken cancellationToken)
    {
        if (fault.RetryAfter > MaxPatience)
            throw fault;
        var own = First * Math.Pow(2, failures - 1);
        return Task.Delay(fault.RetryAfter is { } asked && asked > TimeSpan.Zero ? asked : own, time, cancellationToken);
    }
}
