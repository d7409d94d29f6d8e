namespace LocalLlm.Extensions.AI;

/// <summary>Who loads a model and owns its engine, whatever the model makes.</summary>
internal interface IModelHost
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

    /// <summary>What the engine does at the moment, or null where it is not loaded.</summary>
    ModelActivity? Activity { get; }

    /// <summary>Completes when the model is loaded or could not be; loading is begun if need be. Never faults.</summary>
    Task TriedAsync(CancellationToken cancellationToken);

    /// <summary>Completes when the engine has ended; loading is begun if need be, and its failure is final.</summary>
    Task EndedAsync(CancellationToken cancellationToken);
}
