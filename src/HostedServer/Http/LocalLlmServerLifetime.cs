using LocalLlm.Server.Http;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Server;

/// <summary>
/// The server's end, for the program that hosts it. A host that stops drains the server by itself
/// (<see cref="LocalLlmServerOptions.ShutdownTimeout"/>); this is for a program that cannot wait so long, and for its exit code.
/// </summary>
public sealed class LocalLlmServerLifetime
{
    private readonly Admission _admission;
    private readonly IServiceProvider _services;

    internal LocalLlmServerLifetime(Admission admission, IServiceProvider services) => (_admission, _services) = (admission, services);

    /// <summary>
    /// Why the server has stopped the application: its model could not be loaded, or its engine has failed; null: it has not.
    /// </summary>
    public Exception? Failure => _services.GetRequiredService<EngineWatch>().Failure;

    /// <summary>Whether requests have been ended by <see cref="EndRequests"/>.</summary>
    public bool HasEndedRequests => _admission.Aborted.IsCancellationRequested;

    /// <summary>Takes no more requests and ends those that run; their clients are still told.</summary>
    public void EndRequests() => _admission.Abort();

    /// <summary>
    /// Ends the connections that are still there, told or not; of a host that has called <c>ConfigureLocalLlmKestrel</c>.
    /// </summary>
    public void EndConnections() => _admission.Disconnect();
}
