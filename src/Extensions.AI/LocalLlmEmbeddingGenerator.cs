using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/> over the engine. Stateless and safe for concurrent requests; the engine's life is its own, so disposing the generator does nothing.
/// </summary>
public sealed class LocalLlmEmbeddingGenerator : IEmbeddingGenerator<string, Embedding<float>>
{
    private const string ProviderName = "localllm";
    private readonly Func<CancellationToken, Task<LlmEngine>> _engine;
    private readonly Func<LlmEngine?> _loaded;
    private readonly EmbeddingGeneratorMetadata _metadata;

    /// <param name="engine">Gives the engine, loading it if need be.</param>
    /// <param name="loaded">The engine if it is loaded by now, or null.</param>
    /// <param name="modelId">The name of the model.</param>
    internal LocalLlmEmbeddingGenerator(Func<CancellationToken, Task<LlmEngine>> engine, Func<LlmEngine?> loaded, string? modelId)
    {
        _engine = engine;
        _loaded = loaded;
        _metadata = new(ProviderName, providerUri: null, modelId);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentNullException"><paramref name="values"/> is null.</exception>
    /// <exception cref="NotSupportedException">The model is no embedding model.</exception>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        return RefuseAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null)
            return null;
        if (serviceType == typeof(EmbeddingGeneratorMetadata))
            return _metadata;
        if (serviceType == typeof(LlmEngine))
            return _loaded();
        return serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <summary>Does nothing: the engine belongs to whoever loaded it.</summary>
    public void Dispose()
    {
    }

    // Every architecture that the engine loads today generates text.
    private async Task<GeneratedEmbeddings<Embedding<float>>> RefuseAsync(CancellationToken cancellationToken)
    {
        var engine = await _engine(cancellationToken).ConfigureAwait(false);
        throw new NotSupportedException($"'{engine.ModelName}' generates text and is no embedding model; register an embedding model for this.");
    }
}
