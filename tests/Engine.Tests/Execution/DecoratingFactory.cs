using LocalLlm.Execution;

namespace LocalLlm.Tests.Execution;

/// <summary>An executor of this process, in another.</summary>
/// <param name="decorate">Puts one around the other.</param>
internal sealed class DecoratingFactory(Func<IStepExecutor, IStepExecutor> decorate) : IStepExecutorFactory
{
    public IExecutorLoader Open(EngineOptions options) => new WrappedLoader(new DeviceExecutorFactory().Open(options), (load, _) =>
    {
        var inner = load();
        try
        {
            return decorate(inner);
        }
        catch
        {
            inner.Dispose();
            throw;
        }
    });
}
