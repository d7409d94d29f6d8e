using LocalLlm.Execution;
using LocalLlm.Sampling;

namespace LocalLlm.Tests.Execution;

/// <summary>An executor of this process, in another.</summary>
/// <param name="decorate">Puts one around the other.</param>
internal sealed class DecoratingFactory(Func<IStepExecutor, IStepExecutor> decorate) : IStepExecutorFactory
{
    public IStepExecutor Create(EngineOptions options, ModelLoader loader, ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        var inner = new LocalExecutorFactory().Create(options, loader, grammars, progress, cancellationToken);
        try
        {
            return decorate(inner);
        }
        catch
        {
            inner.Dispose();
            throw;
        }
    }
}
