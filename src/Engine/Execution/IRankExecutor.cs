namespace LocalLlm.Execution;

/// <summary>
/// Ranks that run elsewhere: on another thread, in another process or on another host. <see cref="IStepExecutor.Submit"/> does not wait for
/// them.
/// </summary>
internal interface IRankExecutor : IStepExecutor
{
    /// <summary>
    /// Asks for the result of the oldest step that was not asked for; <see cref="IStepExecutor.Complete"/> then waits for it.
    /// </summary>
    void BeginComplete();

    /// <summary>Asks it to end and to free what it holds; <see cref="IDisposable.Dispose"/> then waits for that.</summary>
    void Stop()
    {
        // One that is freed at once needs no notice.
    }
}
