namespace LocalLlm.Extensions.AI;

/// <summary>
/// Who loads a model of a container and owns its engine, whatever the model makes. The host is also the scope of the engine's meter.
/// </summary>
public interface IModelHost
{
    /// <summary>The name that clients see, as far as it is known before loading.</summary>
    string ModelId { get; }

    /// <summary>How far loading is.</summary>
    LoadProgress Progress { get; }

    /// <summary>Why loading has failed, or null.</summary>
    Exception? Failure { get; }

    /// <summary>Whether the engine is loaded, of use or not.</summary>
    bool IsLoaded { get; }

    /// <summary>Whether the engine is loaded and takes requests.</summary>
    bool IsAlive { get; }

    /// <summary>Whether the engine is loaded and has failed.</summary>
    bool HasFailed { get; }

    /// <summary>Completes when the engine has ended; loading is begun if need be.</summary>
    /// <exception cref="EngineException">The model could not be loaded.</exception>
    /// <exception cref="ObjectDisposedException">The host has stopped before the engine was loaded.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    Task WaitForEndAsync(CancellationToken cancellationToken = default);
}

/// <summary>
/// Who loads a model of a container and owns its engine. <c>AddLocalLlm</c> registers one of <see cref="LlmEngine"/>,
/// <c>AddLocalLlmEmbeddings</c> one of <see cref="EmbeddingEngine"/>, under the key of the model where it has one.
/// </summary>
/// <typeparam name="TEngine">The engine.</typeparam>
public interface IModelHost<TEngine> : IModelHost
    where TEngine : class
{
    /// <summary>The engine if it is loaded, or null. It belongs to the host: do not dispose it.</summary>
    TEngine? Loaded { get; }

    /// <summary>
    /// The engine; loading is begun if need be, and one that failed is tried again. It belongs to the host: do not dispose it.
    /// </summary>
    /// <exception cref="EngineException">The model could not be loaded.</exception>
    /// <exception cref="ObjectDisposedException">The host has stopped before the engine was loaded.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    Task<TEngine> GetAsync(CancellationToken cancellationToken = default);
}
