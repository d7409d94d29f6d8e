using System.Security.Cryptography.X509Certificates;

namespace LocalLlm.Cluster;

/// <summary>Whether a node's certificate was signed by those that the nodes trust, and by nobody else.</summary>
internal static class NodeCertificates
{
    /// <summary>Builds the chain to one of the <paramref name="authorities"/>; the system's are not asked.</summary>
    public static bool IsSignedBy(X509Certificate2 certificate, X509Certificate2Collection authorities)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        // A private authority has no list to ask.
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(certificate);
    }
}
