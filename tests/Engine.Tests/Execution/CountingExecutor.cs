using LocalLlm.Execution;

namespace LocalLlm.Tests.Execution;

/// <summary>Counts the inputs of steps that the host does not know yet.</summary>
/// <param name="inner">Runs the steps.</param>
internal sealed class CountingExecutor(IStepExecutor inner) : IStepExecutor
{
    public ExecutorCapabilities Capabilities => inner.Capabilities;

    /// <summary>Number of inputs that the host did not know when their step was submitted.</summary>
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
