using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;

namespace LocalLlm.Server.Http;

/// <summary>
/// The operation ids of an application's routes: ASP.NET Core wants each once, and the same routes may stand under several paths.
/// </summary>
internal sealed class OperationIds
{
    private readonly ConcurrentDictionary<string, bool> _taken = new(StringComparer.Ordinal);

    /// <summary>Names a route, unless another has the name already.</summary>
    public void Name(IEndpointConventionBuilder endpoint, string name)
    {
        if (_taken.TryAdd(name, true))
            endpoint.WithName(name);
    }
}
