using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace LocalLlm.Hub;

/// <summary>The digest of a whole file, of the kind that the hub uses for it: sha256, or git's sha1 of a blob.</summary>
internal static class FileHash
{
    private const int BufferBytes = 1 << 20;
    private const int Sha256Digits = 64;

    /// <summary>Computes the digest in lower-case hex, of the same kind as <paramref name="file"/>'s digest.</summary>
    /// <exception cref="EngineException">Environment: the file cannot be read.</exception>
    public static string Of(string path, RemoteFile file, CancellationToken cancellationToken = default) => Disk.Do(path, () =>
    {
        using var stream = new FileStream(path, new FileStreamOptions { BufferSize = 0, Options = FileOptions.SequentialScan });
        using var hash = IncrementalHash.CreateHash(file.Digest!.Length == Sha256Digits ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA1);
        if (file.Digest.Length != Sha256Digits)
            hash.AppendData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {stream.Length}\0")));
        var buffer = new byte[BufferBytes];
        int count;
        while ((count = stream.Read(buffer)) > 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, count);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    });
}
