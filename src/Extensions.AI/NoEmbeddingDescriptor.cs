using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Extensions.AI;

/// <summary>The registration of a <see cref="NoEmbeddingGenerator"/>, which an embedding model takes away; those of others stay.</summary>
/// <param name="key">The chat model's key.</param>
internal sealed class NoEmbeddingDescriptor(object? key) : ServiceDescriptor(
    typeof(IEmbeddingGenerator<string, Embedding<float>>), key, (provider, _) => new NoEmbeddingGenerator(() => EngineHost.Of(provider, key).ModelId), ServiceLifetime.Singleton);
