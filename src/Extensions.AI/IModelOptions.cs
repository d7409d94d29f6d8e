namespace LocalLlm.Extensions.AI;

/// <summary>What is configured of a model, whatever it makes.</summary>
internal interface IModelOptions
{
    /// <summary>Whether the host starts while the model still loads.</summary>
    bool LoadInBackground { get; }

    /// <summary>The engine's options.</summary>
    EngineOptions ToEngineOptions();

    /// <summary>Checks what the engine would refuse before it loads anything.</summary>
    /// <exception cref="EngineException">InvalidOptions.</exception>
    void Validate() => EngineOptionsValidator.Validate(ToEngineOptions());
}
