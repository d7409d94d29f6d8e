namespace LocalLlm.Execution;

/// <summary>
/// The seam between the engine loop and the devices: plain data goes in and plain data comes out, so that the devices may be on another
/// thread, in another process or on other hosts. One thread makes all calls but <see cref="Abort"/>.
/// </summary>
/// <remarks>
/// Sampling state and grammars live on the executor's side: it creates them from <see cref="SchedulerOutput.NewSequences"/> and drops them
/// with <see cref="SchedulerOutput.FinishedIds"/>. Verbs that move weights off the device and back (vLLM's sleep and wake_up) would join
/// these two: no step may be submitted between them.
/// </remarks>
internal interface IStepExecutor : IDisposable
{
    /// <summary>What the devices can do; the same for the executor's whole life.</summary>
    ExecutorCapabilities Capabilities { get; }

    /// <summary>
    /// Completes with the reason when the executor is lost although no step may be waited for: another process of it is gone. Null: that
    /// cannot happen.
    /// </summary>
    Task<Exception>? Lost => null;

    /// <summary>
    /// Starts a step. At most <see cref="ExecutorCapabilities.MaxStepsInFlight"/> steps may be submitted and not completed. The step's data
    /// stays unchanged until its result was reported. A failure of the step is part of its result; an exception means that the executor
    /// itself has failed.
    /// </summary>
    /// <returns>False: the step has failed already, and no other should be submitted before its result was read.</returns>
    bool Submit(SchedulerOutput step);

    /// <summary>
    /// Waits for the oldest submitted step. The result is valid until the next call. An exception means that the executor itself has
    /// failed.
    /// </summary>
    StepResult Complete();

    /// <summary>
    /// Ends what waits for another device, process or host: <see cref="Submit"/> and <see cref="Complete"/> throw, now and later. Any
    /// thread.
    /// </summary>
    /// <param name="reason">Why the engine has given up.</param>
    void Abort(Exception reason)
    {
        // An executor that waits for nobody has nothing to end.
    }
}
