using System.Collections.Immutable;
using LocalLlm.Layers;
using LocalLlm.Models.Deepseek;
using LocalLlm.Models.Llama;
using LocalLlm.Models.Qwen;
using LocalLlm.Models.XlmRoberta;

namespace LocalLlm.Models;

/// <summary>The families of models that this build runs. Thread-safe.</summary>
internal static class ModelRegistry
{
    private static ImmutableList<ModelFamily> s_families =
    [
        DeepseekFamily.Family,
        LlamaFamily.Family,
        QwenFamily.Family,
        XlmRobertaFamily.Family,
    ];

    /// <summary>Families that generate text, in the order that messages list them.</summary>
    public static IEnumerable<DecoderFamily> Decoders => s_families.OfType<DecoderFamily>();

    /// <summary>Families that embed text, in the order that messages list them.</summary>
    public static IEnumerable<EncoderFamily> Encoders => s_families.OfType<EncoderFamily>();

    /// <summary>Adds a family.</summary>
    /// <returns>Removes the family when disposed.</returns>
    /// <exception cref="ArgumentException">Another family has one of its architectures.</exception>
    public static IDisposable Register(ModelFamily family)
    {
        ImmutableInterlocked.Update(ref s_families, families =>
        {
            var known = families.SelectMany(other => other.Architectures).Select(architecture => architecture.Name);
            return known.Intersect(family.Architectures.Select(architecture => architecture.Name)).FirstOrDefault() is { } twice
                ? throw new ArgumentException($"There is a family for {twice}.", nameof(family))
                : families.Add(family);
        });
        return new Registration(family);
    }

    /// <summary>The family of a model that generates text.</summary>
    public static DecoderFamily FamilyOf(ModelConfig config) => Find(Decoders, config.Architecture);

    /// <summary>Builds a model that generates text and registers its weights with the context; nothing is loaded yet.</summary>
    /// <param name="config">A validated config.json.</param>
    /// <param name="context">What layers are built with.</param>
    /// <param name="limits">The largest sequence and step to prepare for.</param>
    public static ICausalLanguageModel Create(ModelConfig config, LayerContext context, ModelLimits limits) =>
        FamilyOf(config).CreateModel(config, config.Quantization is { } stored ? context with { LinearMethod = stored.CreateLinearMethod() } : context, limits);

    /// <summary>Builds a model that embeds text and registers its weights with the context; nothing is loaded yet.</summary>
    public static IEncoderModel Create(EncoderConfig config, LayerContext context) =>
        Find(Encoders, config.Architecture).CreateModel(config, context);

    // Always finds one: the family that a configuration names has read it.
    private static TFamily Find<TFamily>(IEnumerable<TFamily> families, string architecture)
        where TFamily : ModelFamily => families.First(family => family.Architectures.Any(one => one.Name == architecture));

    private sealed class Registration(ModelFamily family) : IDisposable
    {
        public void Dispose() => ImmutableInterlocked.Update(ref s_families, families => families.Remove(family));
    }
}
