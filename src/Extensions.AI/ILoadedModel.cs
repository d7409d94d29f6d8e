namespace LocalLlm.Extensions.AI;

/// <summary>What this library itself asks of a host beyond what others do.</summary>
internal interface ILoadedModel : IModelHost
{
    /// <summary>What the engine does at the moment, or null where it is not loaded.</summary>
    ModelActivity? Activity { get; }

    /// <summary>Completes when the model is loaded or could not be; loading is begun if need be. Never faults.</summary>
    Task TriedAsync(CancellationToken cancellationToken);
}
