using LocalLlm.Models;
using LocalLlm.Sampling;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// A model that is planned and not loaded: config.json and the headers of its weights are read, nothing is allocated. Used on the thread
/// that will call the executor.
/// </summary>
internal interface IExecutorLoader : IDisposable
{
    /// <summary>The model's config.json.</summary>
    ModelConfig Config { get; }

    /// <summary>The type asked for; activations may be wider (float16 on a CPU is computed in float32).</summary>
    ScalarType ComputeType { get; }

    /// <summary>Where the memory of the tightest device would go, by an estimate.</summary>
    MemoryPlan Plan { get; }

    /// <inheritdoc cref="LoadSession.CheckWeights"/>
    void CheckWeights();

    /// <summary>Reads the weights and prepares the devices. Called once; the loader may be disposed afterwards.</summary>
    /// <param name="grammars">The engine's compiler, whose cache an executor in the same process shares; null without a tokenizer.</param>
    /// <param name="progress">Receives phases and bytes.</param>
    /// <param name="cancellationToken">Gives up loading.</param>
    /// <exception cref="EngineException">The weights do not fit the configuration, or memory is too small.</exception>
    IStepExecutor Load(ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken);
}
