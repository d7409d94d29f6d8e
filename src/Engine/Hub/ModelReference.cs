using System.Text.RegularExpressions;

namespace LocalLlm.Hub;

/// <summary>
/// A user's name for a model: an existing folder, or <c>org/name</c> on a hub, optionally with <c>@revision</c>. A folder takes precedence.
/// Exactly one of <see cref="Folder"/> and <see cref="Repository"/> is set.
/// </summary>
public sealed partial record ModelReference
{
    private const int MaxNameLength = 96;

    private ModelReference()
    {
    }

    /// <summary>The local folder's full path, or null.</summary>
    public string? Folder { get; private init; }

    /// <summary><c>org/name</c>, or null.</summary>
    public string? Repository { get; private init; }

    /// <summary>The revision after <c>@</c>: a branch, a tag or a commit; or null.</summary>
    public string? Revision { get; private init; }

    /// <summary>Parses a reference. It only checks whether such a folder exists; for a folder of the hub's cache it takes the only
    /// snapshot.</summary>
    /// <exception cref="EngineException">InvalidOptions, parameter <c>model</c>: neither a folder nor a repository's name.</exception>
    public static ModelReference Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length > 0 && Directory.Exists(text))
            return new() { Folder = HubCache.Resolve(Path.GetFullPath(text)) };
        return Remote(text) ?? throw new EngineException(
            EngineErrorKind.InvalidOptions,
            text.Trim().Length == 0 ? "model is empty; name a model folder, or a repository as org/name." : $"model {SafeNames.Quote(text)} {MistakenName.FaultOf(text)}.",
            "model");
    }

    /// <summary>The reference if it must be looked up on a hub: not a folder, and of the form <c>org/name</c>; else null.</summary>
    internal static ModelReference? Remote(string text)
    {
        if (Directory.Exists(text) || Path.Exists(text))
            return null;
        var at = text.IndexOf('@', StringComparison.Ordinal);
        var (repository, revision) = at < 0 ? (text, null) : (text[..at], text[(at + 1)..]);
        return IsRepository(repository) && (revision is null || SafeNames.RevisionFault(revision) is null)
            ? new() { Repository = repository, Revision = revision }
            : null;
    }

    /// <inheritdoc/>
    public override string ToString() => Folder ?? (Revision is null ? Repository! : $"{Repository}@{Revision}");

    // As in huggingface_hub: "--" would make the name of the cache folder ambiguous.
    private static bool IsRepository(string text)
    {
        var parts = text.Split('/');
        return parts.Length == 2 && parts.All(part =>
            part.Length <= MaxNameLength && NamePart().IsMatch(part) && !part.Contains("--", StringComparison.Ordinal)
            && !part.Contains("..", StringComparison.Ordinal) && !part.EndsWith(".git", StringComparison.OrdinalIgnoreCase));
    }

    [GeneratedRegex(@"\A[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\z")]
    private static partial Regex NamePart();
}
