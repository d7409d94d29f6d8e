using System.Text.Json;
using Tasks = System.Threading.Tasks.Parallel;

namespace LocalLlm.Hub;

/// <summary>
/// Downloads the missing ones of a repository's needed files to a store: the small files first, the model's own weights last.
/// </summary>
internal sealed class SnapshotDownload(HubClient client, IHubProtocol protocol, IModelStore store, HubOptions options, string repository, Listing listing)
{
    private readonly HubErrors _errors = new(client, options, repository, listing.Commit);
    private readonly Backoff _backoff = new(options.Time);

    /// <summary>Downloads the files; afterwards the store's folder is complete.</summary>
    /// <exception cref="HubFault">The network failed several times.</exception>
    /// <exception cref="EngineException">The hub, its content or the disk is at fault.</exception>
    public async Task RunAsync(string revision, IProgress<DownloadProgress>? progress, CancellationToken cancellationToken)
    {
        var (first, last) = await SelectAsync(cancellationToken).ConfigureAwait(false);
        if (first.Count + last.Count == 0)
            throw EngineException.ModelFolder(repository, $"has no known model file; it has {string.Join(", ", listing.Files.Take(5).Select(file => SafeNames.Quote(file.Path)))}");
        List<RemoteFile> all = [.. first, .. last];
        Disk.RequireSpace(store.Folder, all.Where(file => !store.Has(file)).Sum(file => file.Size!.Value - (Disk.Length(store.PartialOf(file)) ?? 0)));
        var totals = new DownloadTotals(progress, all.Count, all.Sum(file => file.Size!.Value));
        await FetchAsync(first, totals, cancellationToken).ConfigureAwait(false);
        // Checks again before the large files: the configuration says more than the names do.
        RequireModel(file => FolderKind.Read(Path.Combine(store.Folder, file)));
        await FetchAsync(last, totals, cancellationToken).ConfigureAwait(false);
        store.Finish(revision);
    }

    private async Task<(List<RemoteFile> First, List<RemoteFile> Last)> SelectAsync(CancellationToken cancellationToken)
    {
        RequireModel(_ => null);
        if (options.AllowPatterns is { } patterns)
            return (await CompleteAsync(listing.Files.Where(file => ModelFiles.Matches(file.Path, patterns)), cancellationToken).ConfigureAwait(false), []);

        // Only the index says which files the weights are.
        string? index = null;
        if (ModelFiles.IndexOf(listing) is { } listed)
        {
            await FetchAsync(await CompleteAsync([listed], cancellationToken).ConfigureAwait(false), new(null, 0, 0), cancellationToken).ConfigureAwait(false);
            index = Path.Combine(store.Folder, listed.Path);
        }

        var weights = ModelFiles.WeightsOf(listing, index).ToLookup(ModelFiles.IsHead);
        return (await CompleteAsync(ModelFiles.TextsOf(listing).Concat(weights[true]), cancellationToken).ConfigureAwait(false),
            await CompleteAsync(weights[false], cancellationToken).ConfigureAwait(false));
    }

    // With the user's own patterns the files may be anything.
    private void RequireModel(Func<string, JsonElement?> read)
    {
        if (options.AllowPatterns is not null)
            return;
        var folders = listing.Files.Select(file => file.Path.IndexOf('/', StringComparison.Ordinal) is >= 0 and var end ? file.Path[..(end + 1)] : null).OfType<string>().Distinct();
        if (FolderKind.FaultOfNames([.. listing.Files.Select(file => file.Path), .. folders], read) is { } fault)
            throw new EngineException(EngineErrorKind.ModelFolder, $"{repository} {fault}. Its weights were not downloaded.");
    }

    private async Task<List<RemoteFile>> CompleteAsync(IEnumerable<RemoteFile> files, CancellationToken cancellationToken)
    {
        var complete = new List<RemoteFile>();
        foreach (var file in files)
        {
            if (SafeNames.FileFault(file.Path) is { } fault)
                throw EngineException.ModelFolder(SafeNames.Quote(file.Path), $"the hub lists a file whose name {fault}; it was not downloaded");
            complete.Add(await _backoff.RunAsync(() => protocol.CompleteAsync(repository, listing.Commit, file, cancellationToken), Backoff.MaxTries, cancellationToken).ConfigureAwait(false));
        }

        return complete;
    }

    private Task FetchAsync(List<RemoteFile> files, DownloadTotals totals, CancellationToken cancellationToken) => Tasks.ForEachAsync(
        files,
        new ParallelOptions { MaxDegreeOfParallelism = options.MaxWorkers, CancellationToken = cancellationToken },
        async (file, stop) => await FetchAsync(file, totals, stop).ConfigureAwait(false));

    private async Task FetchAsync(RemoteFile file, DownloadTotals totals, CancellationToken cancellationToken)
    {
        if (!store.Has(file))
        {
            using var held = await FileLock.TakeAsync(store.LockOf(file), cancellationToken).ConfigureAwait(false);
            // Another process may have downloaded it meanwhile.
            if (!store.Has(file))
            {
                var partial = store.PartialOf(file);
                Disk.Do(partial, () => Directory.CreateDirectory(Path.GetDirectoryName(partial)!));
                var beginning = Adopt(file, partial);
                await new FileDownload(client, _errors, options, protocol.AddressOf(repository, listing.Commit, file), file, partial, bytes => totals.Add(file, bytes))
                    .RunAsync(beginning, cancellationToken).ConfigureAwait(false);
                store.Take(file, partial);
            }
        }

        totals.Complete(file);
    }

    // Continues another program's unfinished download; the digest shows later whether its bytes were right.
    private long Adopt(RemoteFile file, string partial)
    {
        if (File.Exists(partial) || store.BeginningOf(file) is not { } left || Disk.Length(left) is not { } length || length == 0 || length > file.Size)
            return 0;
        Disk.Do(partial, () => File.Move(left, partial));
        return length;
    }
}
