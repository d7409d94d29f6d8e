using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace LocalLlm.Tool.Serving;

/// <summary>Configures what Kestrel listens on: an address, a name or a Unix socket, with or without a certificate.</summary>
internal static class Listener
{
    /// <param name="kestrel">The server.</param>
    /// <param name="settings">Where it listens.</param>
    /// <exception cref="UsageException">A file or an address cannot be used.</exception>
    public static void Listen(KestrelServerOptions kestrel, ListenSettings settings)
    {
        var certificate = Certificate(settings);
        var authorities = Authorities(settings);
        if (settings.UnixSocket is { } socket)
        {
            RemoveLeftover(socket);
            kestrel.ListenUnixSocket(socket, Secure);
            return;
        }

        switch (settings.Host)
        {
            case null or "" or "*":
                kestrel.ListenAnyIP(settings.Port, Secure);
                break;
            case "localhost" when settings.Port > 0:
                kestrel.ListenLocalhost(settings.Port, Secure);
                break;
            case "localhost":
                kestrel.Listen(IPAddress.Loopback, settings.Port, Secure);
                break;
            case var host:
                kestrel.Listen(Address(host), settings.Port, Secure);
                break;
        }

        void Secure(ListenOptions listen)
        {
            if (certificate is null)
                return;
            listen.UseHttps(certificate, https =>
            {
                // The intermediate certificates between this one and an authority that clients know.
                https.ServerCertificateChain = [];
                https.ServerCertificateChain.ImportFromPemFile(settings.CertificateFile!);
                https.ClientCertificateMode = settings.ClientCertificates;
                if (authorities is not null)
                    https.ClientCertificateValidation = (client, sent, _) => IsSignedBy(client, sent, authorities);
            });
        }
    }

    /// <summary>
    /// Refuses, before a model is loaded, what would make <see cref="Listen"/> fail: certificates that cannot be read, names
    /// without an address, and addresses that are taken or do not belong to this machine.
    /// </summary>
    /// <exception cref="UsageException">A file, a name or an address cannot be used.</exception>
    public static void Check(ListenSettings settings)
    {
        Certificate(settings)?.Dispose();
        _ = Authorities(settings);
        if (settings.UnixSocket is { } socket)
        {
            if (Path.GetDirectoryName(Path.GetFullPath(socket)) is { } folder && !Directory.Exists(folder))
                throw new UsageException($"--uds: {socket}: the folder {folder} does not exist; create it, or choose another place");
            RemoveLeftover(socket);
            Probe("--uds", socket, AddressFamily.Unix, () => new UnixDomainSocketEndPoint(socket));
            File.Delete(socket);
            return;
        }

        switch (settings.Host)
        {
            case null or "" or "*":
                ProbePort(Socket.OSSupportsIPv6 ? IPAddress.IPv6Any : IPAddress.Any, settings.Port);
                break;
            case "localhost":
                ProbePort(IPAddress.Loopback, settings.Port);
                break;
            case var host:
                ProbePort(Address(host), settings.Port);
                break;
        }
    }

    private static void ProbePort(IPAddress address, int port) =>
        Probe("--host, --port", $"{(address.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{address}]" : address)}:{port}", address.AddressFamily, () => new IPEndPoint(address, port));

    private static void Probe(string option, string name, AddressFamily family, Func<EndPoint> address)
    {
        try
        {
            using var probe = new Socket(family, SocketType.Stream, family == AddressFamily.Unix ? ProtocolType.Unspecified : ProtocolType.Tcp);
            if (family == AddressFamily.InterNetworkV6 && address() is IPEndPoint { Address: var any } && any.Equals(IPAddress.IPv6Any))
                probe.DualMode = true;
            probe.Bind(address());
            probe.Listen();
        }
        catch (SocketException failure)
        {
            throw new UsageException($"{option}: {name} " + failure.SocketErrorCode switch
            {
                SocketError.AddressAlreadyInUse => "is in use; stop the process that listens there, or choose another",
                SocketError.AccessDenied when family == AddressFamily.Unix => "may not be created by this user; choose a folder that the user may write to",
                SocketError.AccessDenied => "may not be used by this user; choose a port from 1024 on, or another place",
                SocketError.AddressNotAvailable => "is no address of this machine; choose one that is, or leave --host out for all of them",
                _ => $"cannot be used: {failure.Message}",
            });
        }
        catch (ArgumentException)
        {
            throw new UsageException($"{option}: {name} is too long or no path of a socket; choose another");
        }
    }

    // Removes a socket left behind by a process that has ended; touches nothing else.
    private static void RemoveLeftover(string path)
    {
        if (!Path.Exists(path))
            return;
        if (Directory.Exists(path) || CanBeOpened(path))
            throw new UsageException($"--uds: {path} is there already and is no socket; choose another name");
        try
        {
            using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException refused) when (refused.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path);
            return;
        }
        catch (SocketException other)
        {
            throw new UsageException($"--uds: {path} cannot be used: {other.Message}");
        }

        throw new UsageException($"--uds: another process listens on {path}; stop it or choose another name");
    }

    // Anything that can be opened as a file is not a socket.
    private static bool CanBeOpened(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static IPAddress Address(string host)
    {
        if (IPAddress.TryParse(host, out var address))
            return address;
        try
        {
            return Dns.GetHostAddresses(host) is [var first, ..] ? first : throw new UsageException($"--host: '{host}' has no address");
        }
        catch (Exception failure) when (failure is SocketException or ArgumentException)
        {
            throw new UsageException($"--host: '{host}' is no address and no name that this machine knows");
        }
    }

    private static X509Certificate2? Certificate(ListenSettings settings)
    {
        if (settings.CertificateFile is not { } file)
            return null;
        try
        {
            return X509Certificate2.CreateFromPemFile(file, settings.KeyFile);
        }
        catch (Exception failure) when (failure is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UsageException($"--ssl-certfile, --ssl-keyfile: {file} and {settings.KeyFile ?? "no key file"} are no certificate with its key in PEM: {failure.Message}");
        }
    }

    private static X509Certificate2Collection? Authorities(ListenSettings settings)
    {
        if (settings.AuthoritiesFile is not { } file)
            return null;
        var authorities = new X509Certificate2Collection();
        try
        {
            authorities.ImportFromPemFile(file);
        }
        catch (Exception failure) when (failure is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--ssl-ca-certs: {file} cannot be read: {failure.Message}");
        }

        return authorities.Count > 0 ? authorities : throw new UsageException($"--ssl-ca-certs: {file} has no certificate in it");
    }

    private static bool IsSignedBy(X509Certificate2 client, X509Chain? sent, X509Certificate2Collection authorities)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        foreach (var element in sent?.ChainElements ?? Enumerable.Empty<X509ChainElement>())
            chain.ChainPolicy.ExtraStore.Add(element.Certificate);
        return chain.Build(client);
    }
}
