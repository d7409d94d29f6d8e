using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>From an engine to the interfaces of Microsoft.Extensions.AI.</summary>
public static class LlmEngineExtensions
{
    /// <summary>A chat client over this engine. Disposing it leaves the engine alone.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="engine"/> is null.</exception>
    public static IChatClient AsIChatClient(this LlmEngine engine)
    {
        ArgumentNullException.ThrowIfNull(engine);
        return new LocalLlmChatClient(_ => Task.FromResult(engine), () => engine, engine.ModelName);
    }

    /// <summary>A chat client over the engine of a host, which loads it if need be. Disposing it leaves the engine alone.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="host"/> is null.</exception>
    public static IChatClient AsIChatClient(this IModelHost<LlmEngine> host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return new LocalLlmChatClient(host.GetAsync, () => host.Loaded, host.ModelId);
    }

    /// <summary>An embedding generator over this engine. Disposing it leaves the engine alone.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="engine"/> is null.</exception>
    public static IEmbeddingGenerator<string, Embedding<float>> AsIEmbeddingGenerator(this EmbeddingEngine engine)
    {
        ArgumentNullException.ThrowIfNull(engine);
        return new LocalLlmEmbeddingGenerator(_ => Task.FromResult(engine), () => engine, engine.ModelName);
    }

    /// <summary>
    /// An embedding generator over the engine of a host, which loads it if need be. Disposing it leaves the engine alone.
    /// </summary>
    /// <exception cref="ArgumentNullException"><paramref name="host"/> is null.</exception>
    public static IEmbeddingGenerator<string, Embedding<float>> AsIEmbeddingGenerator(this IModelHost<EmbeddingEngine> host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return new LocalLlmEmbeddingGenerator(host.GetAsync, () => host.Loaded, host.ModelId);
    }
}
