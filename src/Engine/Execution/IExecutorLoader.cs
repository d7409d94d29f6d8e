using LocalLlm.Models;
using LocalLlm.Sampling;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// A model that is planned but not loaded: config.json and the headers of its weights are read, and nothing is allocated. Used on the
/// thread that will call the executor.
/// </summary>
internal interface IExecutorLoader : IDisposable
{
    /// <summary>The model's config.json.</summary>
    ModelConfig Config { get; }

    /// <summary>The requested data type; activations may be wider (on a CPU, float16 is computed in float32).</summary>
    ScalarType ComputeType { get; }

    /// <summary>An estimate of how the memory of the tightest device would be used.</summary>
    MemoryPlan Plan { get; }

    /// <inheritdoc cref="LoadSession.CheckWeights"/>
    void CheckWeights();

    /// <summary>Reads the weights and prepares the devices. Called once; the loader may be disposed afterwards.</summary>
    /// <param name="grammars">The engine's compiler, whose cache an executor in the same process shares; null without a tokenizer.</param>
    /// <param name="progress">Receives phases and bytes.</param>
    /// <param name="cancellationToken">Cancels loading.</param>
    /// <exception cref="EngineException">The weights do not fit the configuration, or memory is too small.</exception>
    IStepExecutor Load(ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken);
}
