using LocalLlm.Execution;
using LocalLlm.Models;
using LocalLlm.Sampling;

namespace LocalLlm.Tests.Execution;

/// <summary>A planned model that the test loads in its own way.</summary>
/// <param name="inner">Plans the model; this object owns it.</param>
/// <param name="load">Loads the model; receives the function that loads the planned model, and the cancellation token.</param>
internal sealed class WrappedLoader(IExecutorLoader inner, Func<Func<IStepExecutor>, CancellationToken, IStepExecutor> load) : IExecutorLoader
{
    public ModelConfig Config => inner.Config;

    public TorchSharp.torch.ScalarType ComputeType => inner.ComputeType;

    public MemoryPlan Plan => inner.Plan;

    public void CheckWeights() => inner.CheckWeights();

    public IStepExecutor Load(ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken) =>
        load(() => inner.Load(grammars, progress, cancellationToken), cancellationToken);

    public void Dispose() => inner.Dispose();
}
