namespace LocalLlm.Extensions.AI;

/// <summary>What only this library needs of a model host.</summary>
internal interface ILoadedModel : IModelHost
{
    /// <summary>What the engine is doing now; null if it is not loaded.</summary>
    ModelActivity? Activity { get; }

    /// <summary>Starts loading if needed; completes when the model is loaded or loading failed. Never faults.</summary>
    Task TriedAsync(CancellationToken cancellationToken);
}
