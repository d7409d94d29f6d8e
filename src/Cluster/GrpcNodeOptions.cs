using System.Security.Cryptography.X509Certificates;

namespace LocalLlm.Cluster;

/// <summary>How the nodes of an engine trust one another.</summary>
public sealed record GrpcNodeOptions
{
    /// <summary>A secret that all nodes share; null: none, which is allowed only where node 0 listens on the loopback.</summary>
    public string? Token { get; init; }

    /// <summary>
    /// This node's certificate with its key: node 0 shows it to those that connect, they show theirs to node 0. Null: the stream is in the
    /// clear.
    /// </summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>Those who sign the certificates of the other nodes; needed with <see cref="Certificate"/>.</summary>
    public X509Certificate2Collection? Authorities { get; init; }
}
