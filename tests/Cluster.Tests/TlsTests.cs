using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>Mutual TLS: each side presents a certificate of an authority that the other trusts.</summary>
public class TlsTests
{
    [Fact]
    public async Task Nodes_of_one_authority_reach_each_other()
    {
        using var authority = Authority();
        var (first, second) = (Trust(authority), Trust(authority));
        await using var server = new GrpcNodeTransport("127.0.0.1", 0, first);
        await server.ListenAsync(TestContext.Current.CancellationToken);
        await using var client = new GrpcNodeTransport("127.0.0.1", server.Port, second);
        await using var there = await client.ConnectAsync(TestContext.Current.CancellationToken);
        await using var here = await server.AcceptAsync(TestContext.Current.CancellationToken);
        await there.SendAsync(new byte[] { 1, 2, 3 }, TestContext.Current.CancellationToken);
        Assert.Equal([1, 2, 3], (await here.ReceiveAsync(TestContext.Current.CancellationToken))!.Value.ToArray());
    }

    [Fact]
    public async Task A_node_of_another_authority_is_not_let_in()
    {
        using var authority = Authority();
        using var other = Authority();
        await using var server = new GrpcNodeTransport("127.0.0.1", 0, Trust(authority));
        await server.ListenAsync(TestContext.Current.CancellationToken);
        // The client trusts the server's authority, but its own certificate comes from another one.
        await using var client = new GrpcNodeTransport("127.0.0.1", server.Port, Trust(other) with { Authorities = [authority] });
        await Assert.ThrowsAsync<IOException>(() => client.ConnectAsync(TestContext.Current.CancellationToken).AsTask());
    }

    private static GrpcNodeOptions Trust(X509Certificate2 authority)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=node", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(System.Net.IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var signed = request.Create(authority, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1), RandomNumberGenerator.GetBytes(8));
        using var own = signed.CopyWithPrivateKey(key);
        return new() { Certificate = X509CertificateLoader.LoadPkcs12(own.Export(X509ContentType.Pkcs12), null), Authorities = [X509CertificateLoader.LoadCertificate(authority.RawData)] };
    }

    private static X509Certificate2 Authority()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-2), DateTimeOffset.UtcNow.AddDays(2));
    }
}
