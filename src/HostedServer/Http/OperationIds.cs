using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;

namespace LocalLlm.Server.Http;

/// <summary>
/// Assigns operation ids to an application's routes. ASP.NET Core requires unique ids, but the same routes may be mapped under several
/// paths.
/// </summary>
internal sealed class OperationIds
{
    private readonly ConcurrentDictionary<string, bool> _taken = new(StringComparer.Ordinal);

    /// <summary>Names a route, unless another route already has the name.</summary>
    public void Name(IEndpointConventionBuilder endpoint, string name)
    {
        if (_taken.TryAdd(name, true))
            endpoint.WithName(name);
    }
}
