using LocalLlm.Server.Http;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Server;

/// <summary>
/// Controls the server's end, for the program that hosts it. A stopping host drains the server by itself
/// (<see cref="LocalLlmServerOptions.ShutdownTimeout"/>). This class is for a program that cannot wait so long, or that sets an exit code.
/// </summary>
public sealed class LocalLlmServerLifetime
{
    private readonly Admission _admission;
    private readonly IServiceProvider _services;

    internal LocalLlmServerLifetime(Admission admission, IServiceProvider services) => (_admission, _services) = (admission, services);

    /// <summary>
    /// Why the server has stopped the application: its model could not be loaded, or its engine has failed. Null if it has not.
    /// </summary>
    public Exception? Failure => _services.GetRequiredService<EngineWatch>().Failure;

    /// <summary>Whether <see cref="EndRequests"/> has ended requests.</summary>
    public bool HasEndedRequests => _admission.Aborted.IsCancellationRequested;

    /// <summary>Accepts no more requests and ends running ones; the server still reports that to their clients.</summary>
    public void EndRequests() => _admission.Abort();

    /// <summary>
    /// Ends the remaining connections, even if their clients have not seen the error. Works in a host that has called
    /// <c>ConfigureLocalLlmKestrel</c>.
    /// </summary>
    public void EndConnections() => _admission.Disconnect();
}
