using LocalLlm.Execution;
using LocalLlm.Execution.Wire;

namespace LocalLlm.Tests.Execution;

/// <summary>Pushes every step and every result through bytes and back, so that nothing but plain data can cross the seam.</summary>
/// <param name="inner">Runs the steps.</param>
internal sealed class SerializingExecutor(IStepExecutor inner) : IStepExecutor
{
    public ExecutorCapabilities Capabilities { get; } = StepFormat.DecodeCapabilities(StepFormat.Encode(inner.Capabilities));

    public bool Submit(SchedulerOutput step) => inner.Submit(StepFormat.DecodeStep(StepFormat.Encode(step)));

    public StepResult Complete() => StepFormat.DecodeResult(StepFormat.Encode(inner.Complete()));

    public void Dispose() => inner.Dispose();
}
