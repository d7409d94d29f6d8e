using LocalLlm.Execution;
using LocalLlm.Sampling;

namespace LocalLlm.Tests.Execution;

/// <summary>What goes wrong with a step.</summary>
internal enum Fault
{
    None,

    /// <summary>The step fails; the executor goes on.</summary>
    Fail,

    /// <summary>The step fails when it is submitted, and the executor reports the failure at once.</summary>
    FailAtSubmit,

    /// <summary>Memory is exhausted.</summary>
    OutOfMemory,

    /// <summary>The model computes NaN.</summary>
    NaN,

    /// <summary>The executor itself fails while the step is submitted.</summary>
    DieAtSubmit,

    /// <summary>The executor itself fails while the engine waits for the step.</summary>
    DieAtComplete,

    /// <summary>The step does not end before the executor is released.</summary>
    Hang,
}

/// <summary>
/// An executor of this process that fails the steps that the test chooses. Its exceptions and reports contain the word "secret".
/// </summary>
/// <param name="faultOf">The fault of a step, by its number from 1.</param>
/// <param name="decorate">Puts another executor between the device and the faults.</param>
internal sealed class FaultyExecutorFactory(Func<long, Fault> faultOf, Func<IStepExecutor, IStepExecutor>? decorate = null) : IStepExecutorFactory
{
    private readonly TaskCompletionSource _released = new();
    private readonly TaskCompletionSource _hangs = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when a step hangs.</summary>
    public Task Hangs => _hangs.Task;

    /// <summary>Ends the step that hangs.</summary>
    public void Release() => _released.TrySetResult();

    public IExecutorLoader Open(EngineOptions options) => new WrappedLoader(new DeviceExecutorFactory().Open(options), (load, _) =>
    {
        var inner = load();
        return new FaultyExecutor(decorate?.Invoke(inner) ?? inner, this, faultOf);
    });

    private sealed class FaultyExecutor(IStepExecutor inner, FaultyExecutorFactory owner, Func<long, Fault> faultOf) : IStepExecutor
    {
        private readonly Queue<(long StepId, Fault Fault)> _submitted = [];

        public ExecutorCapabilities Capabilities => inner.Capabilities;

        public bool Submit(SchedulerOutput step)
        {
            var fault = faultOf(step.StepId);
            if (fault == Fault.DieAtSubmit)
                throw new InvalidOperationException("secret: the device is lost");
            _submitted.Enqueue((step.StepId, fault));
            var computes = fault is Fault.None or Fault.NaN or Fault.Hang;
            if (computes)
                inner.Submit(step);
            return fault != Fault.FailAtSubmit;
        }

        public StepResult Complete()
        {
            var (stepId, fault) = _submitted.Dequeue();
            switch (fault)
            {
                case Fault.Fail or Fault.FailAtSubmit or Fault.OutOfMemory:
                    return new() { StepId = stepId, Failure = new("secret: a kernel failed", IsFatal: fault == Fault.OutOfMemory) };
                case Fault.DieAtComplete:
                    throw new InvalidOperationException("secret: the device is lost");
                case Fault.Hang:
                    owner._hangs.TrySetResult();
                    owner._released.Task.Wait();
                    break;
            }

            var result = inner.Complete();
            if (fault == Fault.NaN)
            {
                for (var i = 0; i < result.Sequences.Count; i++)
                    result.Sequences[i] = result.Sequences[i] with { Sampled = new[] { SampledToken.Failed(SampleError.NonFiniteLogits) } };
            }

            return result;
        }

        public void Dispose() => inner.Dispose();
    }
}
