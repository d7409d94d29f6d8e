using LocalLlm.Execution;

namespace LocalLlm.Tests.Execution;

/// <summary>Counts what steps do not know.</summary>
/// <param name="inner">Runs them.</param>
internal sealed class NotingExecutor(IStepExecutor inner) : IStepExecutor
{
    public ExecutorCapabilities Capabilities => inner.Capabilities;

    /// <summary>Inputs that the host did not know when their step was submitted.</summary>
    public int NumUnknown { get; private set; }

    public bool Submit(SchedulerOutput step)
    {
        NumUnknown += step.Sequences.Count(entry => entry.TokenIds.Span[0] == ScheduledSequence.UnknownToken);
        return inner.Submit(step);
    }

    public StepResult Complete() => inner.Complete();

    public void Abort(Exception reason) => inner.Abort(reason);

    public void Dispose() => inner.Dispose();
}
