namespace LocalLlm.Models;

/// <summary>One class of <c>architectures</c> in config.json, and how its configuration is read.</summary>
/// <param name="Name">The class name.</param>
/// <param name="ModelType">The <c>model_type</c>, which decides if <c>architectures</c> is absent.</param>
/// <param name="Read">Reads the whole configuration; problems go to the source's list.</param>
internal sealed record ModelArchitecture<TConfig>(string Name, string ModelType, Func<ModelConfigSource, TConfig> Read);

/// <summary>Models that share a configuration record, a reader and a model class: what <see cref="ModelRegistry"/> lists.</summary>
/// <param name="architectures">Names and model types.</param>
internal abstract class ModelFamily(IEnumerable<(string Name, string ModelType)> architectures)
{
    /// <summary>The classes of <c>architectures</c> that belong to it, with their model types.</summary>
    public IReadOnlyList<(string Name, string ModelType)> Architectures { get; } = [.. architectures];
}
