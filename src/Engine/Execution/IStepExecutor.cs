namespace LocalLlm.Execution;

/// <summary>
/// The interface between the engine loop and the devices. Plain data goes in and comes out, so the devices may be on another thread, in
/// another process or on other hosts. One thread makes all calls except <see cref="Abort"/>.
/// </summary>
/// <remarks>
/// Sampling state and grammars live on the executor's side: it creates them from <see cref="SchedulerOutput.NewSequences"/> and drops them
/// with <see cref="SchedulerOutput.FinishedIds"/>. Operations that move weights off the device and back (vLLM's sleep and wake_up) would
/// be added here: no step may be submitted between the two.
/// </remarks>
internal interface IStepExecutor : IDisposable
{
    /// <summary>What the devices can do; the same for the executor's whole life.</summary>
    ExecutorCapabilities Capabilities { get; }

    /// <summary>
    /// Completes, with the reason, when the executor is lost because another of its processes is gone, even if no step is waited for.
    /// Null: that cannot happen.
    /// </summary>
    Task<Exception>? Lost => null;

    /// <summary>
    /// Starts a step. At most <see cref="ExecutorCapabilities.MaxStepsInFlight"/> steps may be submitted and not completed. The step's
    /// data must stay unchanged until its result is reported. A failure of the step is part of its result; an exception means that the
    /// executor itself has failed.
    /// </summary>
    /// <returns>False: the step has already failed, and no other step should be submitted before its result is read.</returns>
    bool Submit(SchedulerOutput step);

    /// <summary>
    /// Waits for the oldest submitted step. The result is valid until the next call. An exception means that the executor itself has
    /// failed.
    /// </summary>
    StepResult Complete();

    /// <summary>
    /// Ends every wait for another device, process or host: <see cref="Submit"/> and <see cref="Complete"/> throw, now and later. May be
    /// called on any thread.
    /// </summary>
    /// <param name="reason">Why the engine has given up.</param>
    void Abort(Exception reason)
    {
        // An executor that waits for no other has nothing to end.
    }
}
