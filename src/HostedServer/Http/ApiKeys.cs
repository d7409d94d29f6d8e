using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.Http;

/// <summary>
/// Checks whether a request carries one of the server's keys. Hashes of equal length are compared in fixed time, and always all of them:
/// timing reveals nothing about a key.
/// </summary>
internal sealed class ApiKeys
{
    private const string Bearer = "Bearer ";
    private const string Basic = "Basic ";
    private readonly byte[][] _hashes;

    /// <param name="keys">The keys; none: anyone may call.</param>
    /// <exception cref="ArgumentException">A key is empty or has characters that no header can carry.</exception>
    public ApiKeys(IEnumerable<string> keys)
    {
        _hashes = [.. keys.Distinct(StringComparer.Ordinal).Select(Hash)];

        static byte[] Hash(string key) => IsKey(key)
            ? SHA256.HashData(Encoding.UTF8.GetBytes(key))
            : throw new ArgumentException("An API key is empty or has characters beyond printable ASCII; choose another.");
    }

    /// <summary>Whether a header can carry the text as a key.</summary>
    public static bool IsKey(string text) => text.Length > 0 && text.All(character => character is > ' ' and <= '~');

    /// <summary>Whether no key is required.</summary>
    public bool IsOpen => _hashes.Length == 0;

    /// <summary>Whether the server may serve the request.</summary>
    public bool Admits(HttpRequest request) => IsOpen || (Given(request) is { } key && Matches(key));

    private bool Matches(string key)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(key), hash);
        var matches = false;
        foreach (var known in _hashes)
            matches |= CryptographicOperations.FixedTimeEquals(known, hash);
        return matches;
    }

    private static string? Given(HttpRequest request)
    {
        if (request.Headers.Authorization is not [{ } value])
            return null;
        if (value.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase))
            return value[Bearer.Length..].Trim(' ');
        return value.StartsWith(Basic, StringComparison.OrdinalIgnoreCase) && IsOfOwnPage(request) ? Password(value[Basic.Length..]) : null;
    }

    // A browser asks its user for a password once and then sends it with every request, including requests of other sites' pages. Only this
    // server's own page may use that password. Over plain HTTP, browsers do not send where a request comes from (Sec-Fetch-Site), but they
    // send the Origin of every request that another site's page could profit from.
    private static bool IsOfOwnPage(HttpRequest request)
    {
        if (request.Headers["Sec-Fetch-Site"] is { Count: > 0 } site)
            return site is ["same-origin" or "none"];
        return request.Headers.Origin switch
        {
            [] => HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method),
            [var origin] => origin == $"{request.Scheme}://{request.Host}",
            _ => false,
        };
    }

    private static string? Password(string encoded)
    {
        Span<byte> decoded = stackalloc byte[1024];
        if (!Convert.TryFromBase64String(encoded.Trim(), decoded, out var length))
            return null;
        var pair = Encoding.UTF8.GetString(decoded[..length]);
        var colon = pair.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? null : pair[(colon + 1)..];
    }
}
