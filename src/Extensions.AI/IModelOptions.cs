namespace LocalLlm.Extensions.AI;

/// <summary>Options common to generating and embedding models.</summary>
internal interface IModelOptions
{
    /// <summary>Whether the host starts while the model still loads.</summary>
    bool LoadInBackground { get; }

    /// <summary>The engine's options.</summary>
    EngineOptions ToEngineOptions();

    /// <summary>Reports, before anything is loaded, options that the engine would refuse.</summary>
    /// <exception cref="EngineException">InvalidOptions.</exception>
    void Validate() => EngineOptionsValidator.Validate(ToEngineOptions());
}
