namespace LocalLlm.Extensions.AI;

/// <summary>What is configured of a model, whatever it makes.</summary>
internal interface IModelOptions
{
    /// <summary>Whether the host starts while the model still loads.</summary>
    bool LoadInBackground { get; }

    /// <summary>The engine's options.</summary>
    EngineOptions ToEngineOptions();
}
