using System.Security.Cryptography;
using System.Text;

namespace LocalLlm.Cluster;

/// <summary>Sends the nodes' shared secret as a header.</summary>
internal static class ClusterToken
{
    /// <summary>The header.</summary>
    public const string Header = "authorization";

    private const string Scheme = "Bearer ";

    /// <summary>The header's value.</summary>
    public static string HeaderOf(string token) => Scheme + Convert.ToBase64String(Encoding.UTF8.GetBytes(token));

    /// <summary>Whether a header has the secret; compares in fixed time.</summary>
    public static bool IsRight(string? header, string token) =>
        CryptographicOperations.FixedTimeEquals(Hash(header ?? ""), Hash(HeaderOf(token)));

    private static byte[] Hash(string text) => SHA256.HashData(Encoding.UTF8.GetBytes(text));
}
