using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>Creates the executor of an engine.</summary>
internal interface IStepExecutorFactory
{
    /// <summary>Loads the weights and prepares the devices. Called on the thread that will make all calls of the executor.</summary>
    /// <param name="options">What the engine is loaded with.</param>
    /// <param name="loader">The planned model; it may be disposed afterwards.</param>
    /// <param name="grammars">The engine's compiler, whose cache an executor in the same process shares; null without a tokenizer.</param>
    /// <param name="progress">Receives phases and bytes.</param>
    /// <param name="cancellationToken">Gives up loading.</param>
    /// <exception cref="EngineException">The weights do not fit the configuration, or memory is too small.</exception>
    IStepExecutor Create(EngineOptions options, ModelLoader loader, ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken);
}

/// <summary>The factory of every engine that names no other.</summary>
internal static class StepExecutorFactory
{
    /// <summary>A device of this process. Tests run whole suites on another one.</summary>
    public static IStepExecutorFactory Default { get; set; } = new LocalExecutorFactory();
}

/// <summary>Executes on a device of this process, on the thread of the engine loop.</summary>
internal sealed class LocalExecutorFactory : IStepExecutorFactory
{
    /// <inheritdoc/>
    public IStepExecutor Create(EngineOptions options, ModelLoader loader, ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken) =>
        loader.Load(grammars, progress, cancellationToken);
}
