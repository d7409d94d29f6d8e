namespace LocalLlm.Hub;

/// <summary>
/// huggingface_hub's cache: <c>models--org--name/blobs/DIGEST</c>, <c>refs/REVISION</c> and <c>snapshots/COMMIT/PATH</c>, which links to
/// the blob.
/// </summary>
internal sealed class HuggingFaceStore(string cache, string repository, string commit, bool symlinks) : IModelStore
{
    private readonly string _storage = StorageOf(cache, repository);

    /// <inheritdoc/>
    public string Folder => Path.Combine(_storage, "snapshots", commit);

    /// <summary>The cached snapshot for a revision, complete or not; null: there is none.</summary>
    public static string? Find(string cache, string repository, string revision)
    {
        var storage = StorageOf(cache, repository);
        var reference = Path.Combine(storage, "refs", revision);
        var commit = SafeNames.IsCommit(revision) ? revision
            : Disk.Length(reference) is <= 64 ? Disk.Do(reference, () => File.ReadAllText(reference).Trim())
            : null;
        var folder = commit is not null && SafeNames.IsCommit(commit) ? Path.Combine(storage, "snapshots", commit) : null;
        return Directory.Exists(folder) ? folder : null;
    }

    /// <inheritdoc/>
    public bool Has(RemoteFile file)
    {
        if (Disk.Length(PointerOf(file)) == file.Size)
            return true;
        if (Disk.Length(BlobOf(file)) != file.Size)
            return false;
        Disk.Do(PointerOf(file), () => Link(file, isNew: false));
        return true;
    }

    /// <inheritdoc/>
    public string LockOf(RemoteFile file) => Path.Combine(cache, ".locks", Path.GetFileName(_storage), file.Digest + ".lock");

    /// <inheritdoc/>
    // Not DIGEST.incomplete: older versions of huggingface_hub read that as the beginning of the file, but this file has gaps.
    public string PartialOf(RemoteFile file) => BlobOf(file) + ".ranges.incomplete";

    /// <inheritdoc/>
    public string? BeginningOf(RemoteFile file) => BlobOf(file) + ".incomplete";

    /// <inheritdoc/>
    public void Take(RemoteFile file, string partial) => Disk.Do(PointerOf(file), () =>
    {
        File.Move(partial, BlobOf(file), overwrite: true);
        Link(file, isNew: true);
        Tag();
    });

    /// <inheritdoc/>
    // Written last, unlike in huggingface_hub: until all files are there, the revision refers to the old ones. A read-only cache is still
    // usable.
    public void Finish(string revision)
    {
        var path = Path.Combine(_storage, "refs", revision);
        try
        {
            if (revision != commit && !(File.Exists(path) && File.ReadAllText(path) == commit))
                Disk.WriteWhole(path, commit);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    private static string StorageOf(string cache, string repository) =>
        Path.Combine(cache, "models--" + repository.Replace("/", "--", StringComparison.Ordinal));

    private string PointerOf(RemoteFile file) => Path.Combine([Folder, .. file.Path.Split('/')]);

    private string BlobOf(RemoteFile file) => Path.Combine(_storage, "blobs", file.Digest!);

    private void Link(RemoteFile file, bool isNew)
    {
        var (pointer, blob) = (PointerOf(file), BlobOf(file));
        var folder = Path.GetDirectoryName(pointer)!;
        Directory.CreateDirectory(folder);
        File.Delete(pointer);
        if (symlinks)
        {
            try
            {
                File.CreateSymbolicLink(pointer, Path.GetRelativePath(folder, blob));
                return;
            }
            catch (Exception) when (Disk.Length(pointer) == file.Size)
            {
                // Another process created it first.
                return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or PlatformNotSupportedException)
            {
            }
        }

        if (isNew)
            File.Move(blob, pointer);
        else
            File.Copy(blob, pointer);
    }

    // The tag by which backup programs recognise a cache.
    private void Tag()
    {
        var tag = Path.Combine(cache, "CACHEDIR.TAG");
        if (!File.Exists(tag))
            Disk.WriteWhole(tag, "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of models.\n");
    }
}
