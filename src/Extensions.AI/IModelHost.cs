namespace LocalLlm.Extensions.AI;

/// <summary>
/// Loads a container's model and owns its engine, whether the model generates or embeds. The host is also the scope of the engine's meter.
/// </summary>
public interface IModelHost
{
    /// <summary>The name that clients see, as far as known before loading.</summary>
    string ModelId { get; }

    /// <summary>The progress of loading.</summary>
    LoadProgress Progress { get; }

    /// <summary>Why loading failed, or null.</summary>
    Exception? Failure { get; }

    /// <summary>Whether the engine is loaded, even if it has failed since.</summary>
    bool IsLoaded { get; }

    /// <summary>Whether the engine is loaded and accepts requests.</summary>
    bool IsAlive { get; }

    /// <summary>Whether the engine is loaded and has failed.</summary>
    bool HasFailed { get; }

    /// <summary>Starts loading if needed; completes when the engine has ended.</summary>
    /// <exception cref="EngineException">The model could not be loaded.</exception>
    /// <exception cref="ObjectDisposedException">The host has stopped before the engine was loaded.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    Task WaitForEndAsync(CancellationToken cancellationToken = default);
}

/// <summary>
/// Loads a container's model and owns its engine. <c>AddLocalLlm</c> registers a host of <see cref="LlmEngine"/>,
/// <c>AddLocalLlmEmbeddings</c> a host of <see cref="EmbeddingEngine"/>; the host of a keyed model has the model's key.
/// </summary>
/// <typeparam name="TEngine">The engine.</typeparam>
public interface IModelHost<TEngine> : IModelHost
    where TEngine : class
{
    /// <summary>The engine if it is loaded, or null. The host owns the engine: do not dispose it.</summary>
    TEngine? Loaded { get; }

    /// <summary>
    /// Gets the engine. Starts loading if needed, again if it failed before. The host owns the engine: do not dispose it.
    /// </summary>
    /// <exception cref="EngineException">The model could not be loaded.</exception>
    /// <exception cref="ObjectDisposedException">The host has stopped before the engine was loaded.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    Task<TEngine> GetAsync(CancellationToken cancellationToken = default);
}
