namespace LocalLlm;

/// <summary>
/// How the processes of one engine reach each other: node 0 listens, the others connect to it. Who may connect is the transport's affair (a
/// token, certificates). The package LocalLlm.Cluster has one over gRPC.
/// </summary>
public interface INodeTransport : IAsyncDisposable
{
    /// <summary>On node 0: listens from now on.</summary>
    /// <exception cref="IOException">It cannot listen there now; later it may, as when its own name has no address yet.</exception>
    /// <exception cref="EngineException">Kind Environment or InvalidOptions: it cannot listen there.</exception>
    Task ListenAsync(CancellationToken cancellationToken);

    /// <summary>On node 0, once it listens: waits for the next that connects.</summary>
    ValueTask<INodeChannel> AcceptAsync(CancellationToken cancellationToken);

    /// <summary>On the other nodes: connects to node 0, once.</summary>
    /// <exception cref="IOException">It cannot be reached now; later it may.</exception>
    /// <exception cref="EngineException">It refuses this process, and will again.</exception>
    ValueTask<INodeChannel> ConnectAsync(CancellationToken cancellationToken);
}
