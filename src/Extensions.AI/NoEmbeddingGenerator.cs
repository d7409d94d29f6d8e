using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>The embedding generator of a chat model. It refuses every request, and says what to register instead.</summary>
/// <param name="modelName">The model's name.</param>
internal sealed class NoEmbeddingGenerator(Func<string> modelName) : IEmbeddingGenerator<string, Embedding<float>>
{
    /// <inheritdoc/>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        throw new NotSupportedException($"'{modelName()}' generates text and is no embedding model; register one with AddLocalLlmEmbeddings.");
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null)
            return null;
        if (serviceType == typeof(EmbeddingGeneratorMetadata))
            return new EmbeddingGeneratorMetadata("localllm", providerUri: null, modelName());
        return serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
