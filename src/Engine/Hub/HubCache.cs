namespace LocalLlm.Hub;

/// <summary>Folders of huggingface_hub's cache, <c>models--org--name</c>. Users give such a folder as a model, but the model is in one
/// of its snapshots.</summary>
internal static class HubCache
{
    private const string Prefix = "models--";
    private const string Snapshots = "snapshots";

    /// <summary>The only snapshot of a cache folder; any other path unchanged.</summary>
    public static string Resolve(string path) => SnapshotsIn(path) is [var only] ? only : path;

    /// <summary>Paths of the snapshots if the folder is one of the cache (or its <c>snapshots</c>); the main branch's comes first. Null: it
    /// is not such a folder.</summary>
    public static IReadOnlyList<string>? SnapshotsIn(string path)
    {
        if (StorageOf(path) is not { } storage || !Directory.Exists(Path.Combine(storage, Snapshots)))
            return null;
        try
        {
            var main = Path.Combine(storage, "refs", "main");
            var commit = Disk.Length(main) is <= 64 ? File.ReadAllText(main).Trim() : "";
            var snapshots = Directory.EnumerateDirectories(Path.Combine(storage, Snapshots));
            return [.. snapshots.OrderBy(path => Path.GetFileName(path) != commit).ThenBy(path => path, StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The repository of a cache folder or of one of its snapshots; null: the path is neither.</summary>
    public static string? RepositoryOf(string path)
    {
        if (!IsPath(path))
            return null;
        var whole = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (Path.GetFileName(Path.GetDirectoryName(whole)) == Snapshots)
            whole = Path.GetDirectoryName(whole)!;
        var parts = StorageOf(whole) is { } storage ? Path.GetFileName(storage)[Prefix.Length..].Split("--") : [];
        return parts is [{ Length: > 0 } organisation, { Length: > 0 } name] ? $"{organisation}/{name}" : null;
    }

    private static bool IsPath(string text) => text.Length > 0 && !text.Contains('\0', StringComparison.Ordinal);

    private static string? StorageOf(string path)
    {
        if (!IsPath(path))
            return null;
        var whole = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (Path.GetFileName(whole) == Snapshots)
            whole = Path.GetDirectoryName(whole)!;
        return Path.GetFileName(whole).StartsWith(Prefix, StringComparison.Ordinal) ? whole : null;
    }
}
