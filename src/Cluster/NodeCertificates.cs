using System.Security.Cryptography.X509Certificates;

namespace LocalLlm.Cluster;

/// <summary>Checks that one of the nodes' trusted authorities signed a node's certificate.</summary>
internal static class NodeCertificates
{
    /// <summary>Builds the certificate chain to one of the <paramref name="authorities"/>; ignores the system's authorities.</summary>
    public static bool IsSignedBy(X509Certificate2 certificate, X509Certificate2Collection authorities)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        // A private authority has no revocation list.
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(certificate);
    }
}
