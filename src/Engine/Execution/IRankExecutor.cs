namespace LocalLlm.Execution;

/// <summary>
/// Ranks that run elsewhere: on another thread, in another process or on another host. <see cref="IStepExecutor.Submit"/> does not wait
/// for them.
/// </summary>
internal interface IRankExecutor : IStepExecutor
{
    /// <summary>
    /// Requests the result of the oldest step not yet requested; <see cref="IStepExecutor.Complete"/> then waits for it.
    /// </summary>
    void BeginComplete();

    /// <summary>Asks the ranks to end and to free what they hold; <see cref="IDisposable.Dispose"/> then waits for that.</summary>
    void Stop()
    {
        // Ranks that are freed at once need no notice.
    }
}
