using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>Adapts an engine to the interfaces of Microsoft.Extensions.AI.</summary>
public static class LlmEngineExtensions
{
    /// <summary>Creates a chat client over this engine. Disposing the client does not dispose the engine.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="engine"/> is null.</exception>
    public static IChatClient AsIChatClient(this LlmEngine engine)
    {
        ArgumentNullException.ThrowIfNull(engine);
        return new LocalLlmChatClient(_ => Task.FromResult(engine), () => engine, engine.ModelName);
    }

    /// <summary>
    /// Creates a chat client over a host's engine, which the host loads if needed. Disposing the client does not dispose the engine.
    /// </summary>
    /// <exception cref="ArgumentNullException"><paramref name="host"/> is null.</exception>
    public static IChatClient AsIChatClient(this IModelHost<LlmEngine> host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return new LocalLlmChatClient(host.GetAsync, () => host.Loaded, host.ModelId);
    }

    /// <summary>Creates an embedding generator over this engine. Disposing the generator does not dispose the engine.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="engine"/> is null.</exception>
    public static IEmbeddingGenerator<string, Embedding<float>> AsIEmbeddingGenerator(this EmbeddingEngine engine)
    {
        ArgumentNullException.ThrowIfNull(engine);
        return new LocalLlmEmbeddingGenerator(_ => Task.FromResult(engine), () => engine, engine.ModelName);
    }

    /// <summary>
    /// Creates an embedding generator over a host's engine, which the host loads if needed. Disposing the generator does not dispose the
    /// engine.
    /// </summary>
    /// <exception cref="ArgumentNullException"><paramref name="host"/> is null.</exception>
    public static IEmbeddingGenerator<string, Embedding<float>> AsIEmbeddingGenerator(this IModelHost<EmbeddingEngine> host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return new LocalLlmEmbeddingGenerator(host.GetAsync, () => host.Loaded, host.ModelId);
    }
}
