using System.Buffers;
using System.Globalization;
using System.Text;

namespace LocalLlm.Hub;

/// <summary>Checks names that come from a server before they become paths on this machine.</summary>
internal static class SafeNames
{
    private const int MaxQuotedLength = 120;
    private const int MaxSegmentBytes = 200;
    private const int MaxPathLength = 1024;

    private static readonly SearchValues<char> Unportable = SearchValues.Create(":*?\"<>|");
    private static readonly SearchValues<char> NotInRevisions = SearchValues.Create(" ~^:?*[");

    private static readonly HashSet<string> Devices = new(
        ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", .. Enumerable.Range(0, 10).SelectMany(i => new[] { $"COM{i}", $"LPT{i}" })],
        StringComparer.OrdinalIgnoreCase);

    /// <summary>Why a file's name must always be refused (it could leave its folder), or null.</summary>
    public static string? PathFault(string path)
    {
        if (path.Length is 0 or > MaxPathLength)
            return $"has {path.Length} characters; 1 to {MaxPathLength} are allowed";
        if (path.Any(char.IsControl))
            return "holds a control character";
        if (path.Contains('\\', StringComparison.Ordinal))
            return "holds a backslash";
        if (path[0] == '/')
            return "is an absolute path";
        if (path.Length > 1 && path[1] == ':' && char.IsAsciiLetter(path[0]))
            return "begins with a drive letter";
        return path.Split('/').Any(part => part is "" or "." or "..") ? "leaves its folder or has an empty part" : null;
    }

    /// <summary>Why a file of this name cannot be written on every system, or null.</summary>
    public static string? FileFault(string path)
    {
        foreach (var part in path.Split('/'))
        {
            if (part.AsSpan().ContainsAny(Unportable))
                return "holds a character that file names cannot have everywhere";
            if (part[^1] is '.' or ' ')
                return "has a part that ends with a dot or a space";
            if (Devices.Contains(part.Split('.')[0].TrimEnd()))
                return "is the name of a device";
            if (Encoding.UTF8.GetByteCount(part) > MaxSegmentBytes)
                return $"has a part longer than {MaxSegmentBytes} bytes";
            if (part.EnumerateRunes().Any(rune => rune == Rune.ReplacementChar))
                return "is not valid Unicode";
        }

        return null;
    }

    /// <summary>Why a text cannot be a revision (it becomes a path below <c>refs</c>), or null.</summary>
    public static string? RevisionFault(string revision)
    {
        if (revision.Length is 0 or > 255)
            return $"has {revision.Length} characters; 1 to 255 are allowed";
        if (revision.AsSpan().ContainsAny(NotInRevisions) || revision[0] == '-' || revision.Contains("@{", StringComparison.Ordinal))
            return "is not the name of a branch, a tag or a commit";
        return PathFault(revision) ?? FileFault(revision);
    }

    /// <summary>The etag as huggingface_hub uses it to name blobs: a sha256 or git's sha1, in lower case; else null.</summary>
    public static string? Digest(string? etag)
    {
        var text = etag?.Trim();
        if (text is null)
            return null;
        if (text.StartsWith("W/", StringComparison.Ordinal))
            text = text[2..];
        text = text.Trim('"');
        return text.Length is 40 or 64 && text.All(char.IsAsciiHexDigit) ? text.ToLowerInvariant() : null;
    }

    /// <summary>Whether a text is a full commit id.</summary>
    public static bool IsCommit(string text) => text.Length == 40 && text.All(char.IsAsciiHexDigitLower);

    /// <summary>A server's text for a message: in single quotes, without control characters, truncated if long.</summary>
    public static string Quote(string text)
    {
        var cut = text.Length > MaxQuotedLength ? text[..MaxQuotedLength] + "…" : text;
        var quoted = new StringBuilder("'");
        foreach (var rune in cut.EnumerateRunes())
        {
            if (Rune.IsControl(rune) || Rune.GetUnicodeCategory(rune) is UnicodeCategory.Format)
                quoted.Append(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}");
            else
                quoted.Append(rune.ToString());
        }

        return quoted.Append('\'').ToString();
    }
}
