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

    /// <summary>Families that generate, in the order of messages.</summary>
    public static IEnumerable<DecoderFamily> Decoders => s_families.OfType<DecoderFamily>();

    /// <summary>Families that embed, in the order of messages.</summary>
    public static IEnumerable<EncoderFamily> Encoders => s_families.OfType<EncoderFamily>();

    /// <summary>Adds a family.</summary>
    /// <returns>Takes it away again when disposed.</returns>
    /// <exception cref="ArgumentException">One of its architectures has a family already.</exception>
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

    /// <summary>The family of a model that generates.</summary>
    public static DecoderFamily FamilyOf(ModelConfig config) => Find(Decoders, config.Architecture);

    /// <summary>Builds a model that generates and registers its weights with the context; nothing is loaded yet.</summary>
    /// <param name="config">A validated config.json.</param>
    /// <param name="context">What layers are built with.</param>
    /// <param name="limits">What to prepare for.</param>
    public static ICausalLanguageModel Create(ModelConfig config, LayerContext context, ModelLimits limits) =>
        FamilyOf(config).CreateModel(config, config.Quantization is { } stored ? context with { LinearMethod = stored.CreateLinearMethod() } : context, limits);

    /// <summary>Builds a model that embeds and registers its weights with the context; nothing is loaded yet.</summary>
    public static IEncoderModel Create(EncoderConfig config, LayerContext context) =>
        Find(Encoders, config.Architecture).CreateModel(config, context);

    // A configuration was read by the family that it names.
    private static TFamily Find<TFamily>(IEnumerable<TFamily> families, string architecture)
        where TFamily : ModelFamily => families.First(family => family.Architectures.Any(one => one.Name == architecture));

    private sealed class Registration(ModelFamily family) : IDisposable
    {
        public void Dispose() => ImmutableInterlocked.Update(ref s_families, families => families.Remove(family));
    }
}
