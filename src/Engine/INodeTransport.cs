namespace LocalLlm;

/// <summary>
/// How the processes of one engine reach each other: node 0 listens and the others connect to it. The transport decides who may connect
/// (by a token or certificates). The package LocalLlm.Cluster has a transport over gRPC.
/// </summary>
public interface INodeTransport : IAsyncDisposable
{
    /// <summary>On node 0: starts to listen.</summary>
    /// <exception cref="IOException">It cannot listen yet but may later, for example because its own name has no address yet.</exception>
    /// <exception cref="EngineException">Kind Environment or InvalidOptions: it can never listen there.</exception>
    Task ListenAsync(CancellationToken cancellationToken);

    /// <summary>On node 0, once it listens: waits for the next process to connect.</summary>
    ValueTask<INodeChannel> AcceptAsync(CancellationToken cancellationToken);

    /// <summary>On the other nodes: makes one attempt to connect to node 0.</summary>
    /// <exception cref="IOException">Node 0 is not reachable yet but may be later.</exception>
    /// <exception cref="EngineException">Node 0 refuses this process, and will refuse it again.</exception>
    ValueTask<INodeChannel> ConnectAsync(CancellationToken cancellationToken);
}
