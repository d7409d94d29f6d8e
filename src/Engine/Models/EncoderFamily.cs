using LocalLlm.Layers;

namespace LocalLlm.Models;

/// <summary>A family of models that embed text.</summary>
internal abstract class EncoderFamily(IEnumerable<(string Name, string ModelType)> architectures) : ModelFamily(architectures)
{
    /// <summary>Reads the configuration of one of the architectures.</summary>
    public abstract EncoderConfig ReadConfig(ModelConfigSource source);

    /// <summary>Builds a model and registers its weights with the context; nothing is loaded yet.</summary>
    /// <param name="config">The result of <see cref="ReadConfig"/>.</param>
    /// <param name="context">What layers are built with.</param>
    public abstract IEncoderModel CreateModel(EncoderConfig config, LayerContext context);
}

/// <summary>A family of models that embed text, typed by its configuration record.</summary>
/// <param name="architectures">Its architectures and their readers.</param>
/// <param name="create">Creates its model.</param>
internal sealed class EncoderFamily<TConfig>(
    IReadOnlyList<ModelArchitecture<TConfig>> architectures, Func<TConfig, LayerContext, IEncoderModel> create)
    : EncoderFamily(architectures.Select(architecture => (architecture.Name, architecture.ModelType)))
    where TConfig : EncoderConfig
{
    /// <inheritdoc/>
    public override EncoderConfig ReadConfig(ModelConfigSource source) =>
        architectures.Single(architecture => architecture.Name == source.Architecture).Read(source);

    /// <inheritdoc/>
    public override IEncoderModel CreateModel(EncoderConfig config, LayerContext context) => create((TConfig)config, context);
}
