using System.Security.Cryptography.X509Certificates;

namespace LocalLlm.Cluster;

/// <summary>How the nodes of an engine authenticate each other.</summary>
public sealed record GrpcNodeOptions
{
    /// <summary>A secret that all nodes share; null: none, allowed only if node 0 listens on the loopback interface.</summary>
    public string? Token { get; init; }

    /// <summary>
    /// This node's certificate with its private key. Node 0 and connecting nodes present their certificates to each other. Null: the stream
    /// is not encrypted.
    /// </summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>The authorities that sign the other nodes' certificates; required with <see cref="Certificate"/>.</summary>
    public X509Certificate2Collection? Authorities { get; init; }
}
