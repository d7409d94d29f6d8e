using LocalLlm.Layers;

namespace LocalLlm.Models;

/// <summary>A family of models that generate text.</summary>
internal abstract class DecoderFamily(IEnumerable<(string Name, string ModelType)> architectures) : ModelFamily(architectures)
{
    /// <summary>Whether its models can build the layers of a single stage (<see cref="LayerContext.Stage"/>).</summary>
    public bool SupportsPipelineParallel { get; init; }

    /// <summary>Reads the configuration of one of the architectures.</summary>
    public abstract ModelConfig ReadConfig(ModelConfigSource source);

    /// <summary>Builds a model and registers its weights with the context; nothing is loaded yet.</summary>
    /// <param name="config">The result of <see cref="ReadConfig"/>.</param>
    /// <param name="context">What layers are built with.</param>
    /// <param name="limits">The largest sequence and step to prepare for.</param>
    public abstract ICausalLanguageModel CreateModel(ModelConfig config, LayerContext context, ModelLimits limits);
}

/// <summary>A family of models that generate text, typed by its configuration record.</summary>
/// <param name="architectures">Its architectures and their readers.</param>
/// <param name="create">Creates its model.</param>
internal sealed class DecoderFamily<TConfig>(
    IReadOnlyList<ModelArchitecture<TConfig>> architectures, Func<TConfig, LayerContext, ModelLimits, ICausalLanguageModel> create)
    : DecoderFamily(architectures.Select(architecture => (architecture.Name, architecture.ModelType)))
    where TConfig : ModelConfig
{
    /// <inheritdoc/>
    public override ModelConfig ReadConfig(ModelConfigSource source) =>
        architectures.Single(architecture => architecture.Name == source.Architecture).Read(source);

    /// <inheritdoc/>
    public override ICausalLanguageModel CreateModel(ModelConfig config, LayerContext context, ModelLimits limits) =>
        create((TConfig)config, context, limits);
}
