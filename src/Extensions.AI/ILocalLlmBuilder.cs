using LocalLlm.Extensions.AI;
using Microsoft.Extensions.AI;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>A registered engine, to build further registrations on.</summary>
public interface ILocalLlmBuilder
{
    /// <summary>The services that hold the engine.</summary>
    IServiceCollection Services { get; }

    /// <summary>The key of the engine's services; null: not keyed.</summary>
    object? ServiceKey { get; }

    /// <summary>The name of the engine's <see cref="LocalLlmOptions"/>.</summary>
    string Name { get; }
}

/// <summary>What <c>AddLocalLlm</c> returns.</summary>
internal sealed record LocalLlmBuilder(IServiceCollection Services, object? ServiceKey, string Name) : ILocalLlmBuilder;

/// <summary>The middleware of an engine's chat client.</summary>
internal sealed class ChatPipelineOptions
{
    /// <summary>Steps in the order of registration: the first is the outermost.</summary>
    public List<Action<ChatClientBuilder>> Steps { get; } = [];
}
