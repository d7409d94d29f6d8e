namespace LocalLlm.Execution;

/// <summary>
/// Accepts more steps than the device behind it. Before it submits one too many, it waits for the oldest and keeps its result. A pipeline
/// with many stages has more steps in flight than each of its devices accepts.
/// </summary>
/// <param name="inner">The device's executor; owned.</param>
internal sealed class StepWindow(IStepExecutor inner) : IStepExecutor
{
    private readonly Queue<StepResult> _completed = []; // oldest first
    private int _inFlight;

    /// <inheritdoc/>
    public ExecutorCapabilities Capabilities => inner.Capabilities;

    /// <inheritdoc/>
    public bool Submit(SchedulerOutput step)
    {
        if (_inFlight == inner.Capabilities.MaxStepsInFlight)
        {
            _completed.Enqueue(inner.Complete().Copy());
            _inFlight--;
        }

        _inFlight++;
        return inner.Submit(step);
    }

    /// <inheritdoc/>
    public StepResult Complete()
    {
        if (_completed.TryDequeue(out var result))
            return result;
        _inFlight--;
        return inner.Complete();
    }

    /// <inheritdoc/>
    public void Abort(Exception reason) => inner.Abort(reason);

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();
}
