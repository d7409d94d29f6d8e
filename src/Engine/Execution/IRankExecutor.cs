namespace LocalLlm.Execution;

/// <summary>
/// Ranks that run elsewhere: on another thread, in another process or on another host. <see cref="IStepExecutor.Submit"/> does not wait for
/// them.
/// </summary>
internal interface IRankExecutor : IStepExecutor
{
    /// <summary>Asks for the result of the oldest step that was not asked for; <see cref="IStepExecutor.Complete"/> then waits for it.</summary>
    void BeginComplete();
}
