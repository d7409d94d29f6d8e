using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// The registration of a <see cref="NoEmbeddingGenerator"/>. Registering an embedding model removes it, and leaves generators of other
/// libraries.
/// </summary>
/// <param name="key">The chat model's key.</param>
internal sealed class NoEmbeddingDescriptor(object? key) : ServiceDescriptor(
    typeof(IEmbeddingGenerator<string, Embedding<float>>), key, (provider, _) => new NoEmbeddingGenerator(() => EngineHost.Of(provider, key).ModelId), ServiceLifetime.Singleton);
