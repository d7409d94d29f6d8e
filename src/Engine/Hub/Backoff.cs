namespace LocalLlm.Hub;

/// <summary>Tries again after 1, 2, 4, 8 seconds, or when the server says; five tries in all.</summary>
internal sealed class Backoff(TimeProvider time)
{
    /// <summary>Tries without any progress before it is an error.</summary>
    public const int MaxTries = 5;

    private static readonly TimeSpan First = TimeSpan.FromSeconds(1);

    // Longer than this nobody waits in front of a progress bar.
    private static readonly TimeSpan MaxPatience = TimeSpan.FromMinutes(2);

    /// <summary>Runs until it succeeds or there have been <paramref name="tries"/>.</summary>
    /// <exception cref="HubFault">The last try's.</exception>
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

    /// <summary>Waits after a number of failures in a row.</summary>
    /// <exception cref="HubFault">The server asks for more patience than anyone has.</exception>
    public Task WaitAsync(int failures, HubFault fault, CancellationToken cancellationToken)
    {
        if (fault.RetryAfter > MaxPatience)
            throw fault;
        var own = First * Math.Pow(2, failures - 1);
        return Task.Delay(fault.RetryAfter is { } asked && asked > TimeSpan.Zero ? asked : own, time, cancellationToken);
    }
}
