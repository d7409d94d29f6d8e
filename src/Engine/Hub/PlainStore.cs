using System.Globalization;

namespace LocalLlm.Hub;

/// <summary>
/// Plain files in one folder, for modelscope's cache layout and for a user's local folder. <paramref name="sidecar"/> records the files
/// that were checked, so that large files are hashed once and not at every start.
/// </summary>
/// <param name="folder">The folder.</param>
/// <param name="sidecar">A folder for records, locks and unfinished files, usually inside <paramref name="folder"/>.</param>
internal sealed class PlainStore(string folder, string sidecar) : IModelStore
{
    /// <inheritdoc/>
    public string Folder => folder;

    /// <summary>
    /// The store of a ModelScope repository. modelscope 1.x writes a dot in the name as <c>___</c>. Files that its successor or a user has
    /// put in the folder are found too.
    /// </summary>
    public static PlainStore ModelScope(string cache, string? other, string repository, string revision)
    {
        var folder = ModelScopeFolders(cache, other, repository, revision).FirstOrDefault(HasFiles) ?? ModelScopeFolders(cache, other, repository, revision).First();
        return new(folder, Path.Combine(folder, "._____temp"));
    }

    /// <summary>A folder that the user chose; its records are where huggingface_hub's <c>--local-dir</c> has its own.</summary>
    public static PlainStore Local(string folder) => new(folder, Path.Combine(folder, ".cache", "localllm"));

    /// <inheritdoc/>
    public bool Has(RemoteFile file)
    {
        var path = PathOf(file);
        if (Disk.Length(path) != file.Size)
            return false;
        if (file.Digest is null || (File.Exists(RecordOf(file)) && File.ReadAllText(RecordOf(file)) == Record(file)))
            return true;
        if (FileHash.Of(path, file) != file.Digest)
            return false;
        Remember(file);
        return true;
    }

    /// <inheritdoc/>
    public string LockOf(RemoteFile file) => Beside(file, ".lock");

    /// <inheritdoc/>
    public string PartialOf(RemoteFile file) => Beside(file, ".incomplete");

    /// <inheritdoc/>
    public string? BeginningOf(RemoteFile file) => null;

    /// <inheritdoc/>
    public void Take(RemoteFile file, string partial) => Disk.Do(PathOf(file), () =>
    {
        Directory.CreateDirectory(Path.GetDirectoryName(PathOf(file))!);
        File.Move(partial, PathOf(file), overwrite: true);
        Remember(file);
    });

    /// <inheritdoc/>
    public void Finish(string revision)
    {
        try
        {
            Disk.WriteWhole(RevisionFile, revision + "\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    /// <summary>Whether the folder may hold a revision: the latest download was of this revision, or is unknown.</summary>
    public bool MayHold(string revision) => Disk.Length(RevisionFile) is not <= 1024 || File.ReadAllText(RevisionFile).Trim() == revision;

    private string RevisionFile => Path.Combine(sidecar, "revision");

    private static IEnumerable<string> ModelScopeFolders(string cache, string? other, string repository, string revision)
    {
        var (owner, name) = (repository.Split('/')[0], repository.Split('/')[1]);
        yield return Path.Combine(cache, owner, name.Replace(".", "___", StringComparison.Ordinal));
        yield return Path.Combine(cache, owner, name);
        foreach (var root in new[] { cache, other }.OfType<string>())
            yield return Path.Combine(root, $"{owner}--{name}", "snapshots", revision);
    }

    private static bool HasFiles(string folder) => Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any();

    private string PathOf(RemoteFile file) => Path.Combine([folder, .. file.Path.Split('/')]);

    private string RecordOf(RemoteFile file) => Beside(file, ".checked");

    private string Beside(RemoteFile file, string suffix) => Path.Combine([sidecar, .. file.Path.Split('/')]) + suffix;

    private string Record(RemoteFile file) => string.Create(
        CultureInfo.InvariantCulture, $"{file.Digest} {file.Size} {File.GetLastWriteTimeUtc(PathOf(file)).Ticks}\n");

    // Files in a read-only folder are hashed every time.
    private void Remember(RemoteFile file)
    {
        try
        {
            Disk.WriteWhole(RecordOf(file), Record(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }
}
