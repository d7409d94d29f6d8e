using LocalLlm.Execution;
using LocalLlm.Models;
using LocalLlm.Sampling;

namespace LocalLlm.Tests.Execution;

/// <summary>A planned model that is loaded in a way of the test's own.</summary>
/// <param name="inner">Plans the model; owned.</param>
/// <param name="load">Receives how the model itself is loaded, and the token that gives up.</param>
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
