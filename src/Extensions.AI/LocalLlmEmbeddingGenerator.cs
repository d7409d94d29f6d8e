using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/> over an embedding engine. Stateless and safe for concurrent requests, which the
/// engine computes together. The generator does not own the engine, so disposing the generator does nothing.
/// <see cref="LocalLlmEmbeddingOptions"/> request other kinds of embedding; <see cref="EmbeddingExtensions.GetTextEmbedding"/> reads them.
/// </summary>
public sealed class LocalLlmEmbeddingGenerator : IEmbeddingGenerator<string, Embedding<float>>
{
    private const string ProviderName = "localllm";

    // Properties with other names are ignored, as everywhere in Microsoft.Extensions.AI.
    private static readonly HashSet<string> OwnProperties = new(StringComparer.OrdinalIgnoreCase) { "kinds", "dense", "sparse", "colbert", "multi_vector", "multivector", "truncate", "truncation", "truncate_prompt_tokens" };
    private static readonly HashSet<string> RefusedProperties = new(StringComparer.OrdinalIgnoreCase) { "add_special_tokens", "cache_salt", "dimensions", "encoding_format", "input_type", "instruction", "normalize", "prompt_name", "task" };

    private readonly Func<CancellationToken, Task<EmbeddingEngine>> _engine;
    private readonly Func<EmbeddingEngine?> _loaded;
    private readonly string? _modelId;

    /// <param name="engine">Returns the engine, loading it if needed.</param>
    /// <param name="loaded">Returns the engine if it is loaded, or null.</param>
    /// <param name="modelId">The name of the model.</param>
    internal LocalLlmEmbeddingGenerator(Func<CancellationToken, Task<EmbeddingEngine>> engine, Func<EmbeddingEngine?> loaded, string? modelId)
    {
        _engine = engine;
        _loaded = loaded;
        _modelId = modelId;
    }

    /// <summary>Gets the engine, loading it if needed.</summary>
    internal Task<EmbeddingEngine> GetEngineAsync(CancellationToken cancellationToken) => _engine(cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="ArgumentNullException"><paramref name="values"/> is null.</exception>
    /// <exception cref="NotSupportedException">The options ask for other dimensions than the model's, or hold an additional property that
    /// this generator knows and does not read.</exception>
    /// <exception cref="ArgumentException">The raw options belong to another provider.</exception>
    /// <exception cref="InvalidOperationException">The request asks for another model.</exception>
    /// <exception cref="EngineException">A text is refused, or the engine fails.</exception>
    public async Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        ChatRequestMapping.CheckModelId(options?.ModelId, _modelId);
        var texts = values.ToArray();
        var own = RawOptions.Of<LocalLlmEmbeddingOptions>(options?.RawRepresentationFactory?.Invoke(this), nameof(EmbeddingGenerationOptions));
        CheckProperties(options?.AdditionalProperties);
        var engine = await _engine(cancellationToken).ConfigureAwait(false);
        if (options?.Dimensions is { } dimensions && dimensions != engine.Dimensions)
            throw new NotSupportedException($"EmbeddingGenerationOptions.Dimensions is {dimensions}; '{engine.ModelName}' computes vectors of {engine.Dimensions} numbers. Leave it unset.");
        var made = await engine.EmbedAsync(texts, own.Kinds | EmbeddingKinds.Dense, own.Truncate, cancellationToken).ConfigureAwait(false);
        var tokens = made.Sum(embedding => (long)embedding.TokenCount);
        return new(made.Select(embedding => ToEmbedding(embedding, engine.ModelName)))
        {
            Usage = new() { InputTokenCount = tokens, TotalTokenCount = tokens },
        };
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null)
            return null;
        if (serviceType == typeof(EmbeddingGeneratorMetadata))
            return new EmbeddingGeneratorMetadata(ProviderName, providerUri: null, _modelId, _loaded()?.Dimensions);
        if (serviceType == typeof(EmbeddingEngine))
            return _loaded();
        return serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <summary>Does nothing: the engine belongs to whoever loaded it.</summary>
    public void Dispose()
    {
    }

    private static void CheckProperties(AdditionalPropertiesDictionary? properties)
    {
        foreach (var name in (properties ?? []).Keys)
        {
            if (OwnProperties.Contains(name))
                throw new NotSupportedException($"EmbeddingGenerationOptions.AdditionalProperties[\"{name}\"] is not read; give a {nameof(LocalLlmEmbeddingOptions)} by RawRepresentationFactory instead.");
            if (RefusedProperties.Contains(name))
                throw new NotSupportedException($"EmbeddingGenerationOptions.AdditionalProperties[\"{name}\"] is not supported by this generator; leave it out.");
        }
    }

    private static Embedding<float> ToEmbedding(TextEmbedding embedding, string model) => new(embedding.Dense!.ToArray())
    {
        ModelId = model,
        CreatedAt = DateTimeOffset.UtcNow,
        AdditionalProperties = embedding.Sparse is null && embedding.MultiVector is null ? null : new() { [EmbeddingExtensions.Property] = embedding },
    };
}
