using LocalLlm.Extensions.AI;
using Microsoft.Extensions.AI;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>An engine that was registered, for further registrations.</summary>
public interface ILocalLlmBuilder
{
    /// <summary>Where it is registered.</summary>
    IServiceCollection Services { get; }

    /// <summary>The key of its services; null: they have none.</summary>
    object? ServiceKey { get; }

    /// <summary>The name of its <see cref="LocalLlmOptions"/>.</summary>
    string Name { get; }
}

/// <summary>What <c>AddLocalLlm</c> gives.</summary>
internal sealed record LocalLlmBuilder(IServiceCollection Services, object? ServiceKey, string Name) : ILocalLlmBuilder;

/// <summary>The middleware of an engine's chat client.</summary>
internal sealed class ChatPipelineOptions
{
    /// <summary>In the order of registration: the first is the outermost.</summary>
    public List<Action<ChatClientBuilder>> Steps { get; } = [];
}
