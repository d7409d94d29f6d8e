using LocalLlm.Execution;

namespace LocalLlm.Tests.Execution;

/// <summary>Creates executors that run in this process, each wrapped in another executor.</summary>
/// <param name="decorate">Wraps the executor.</param>
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
