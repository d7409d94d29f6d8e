namespace LocalLlm.Hub;

/// <summary>Turns a user's name for a model into a folder on this machine, downloading what is missing.</summary>
public static class ModelHub
{
    private const int MaxParallel = 64;

    /// <summary>
    /// The folder of a model. A local folder is returned unchanged. A repository is downloaded to the cache first: only the files that are
    /// needed, each checked against the hub's digest. If the hub cannot be reached, the cached files are used, with a warning.
    /// </summary>
    /// <param name="reference">The model.</param>
    /// <param name="options">Where to download from and to; null: the environment decides.</param>
    /// <param name="progress">Receives the progress, from many threads but one report at a time.</param>
    /// <param name="cancellationToken">Stops; the next download uses the bytes that have arrived.</param>
    /// <returns>The full path of a folder with the model's files.</returns>
    /// <exception cref="EngineException">
    /// InvalidOptions: an option makes no sense. ModelFolder: no such repository, revision or access, or content that cannot be trusted.
    /// Environment: the network or the disk failed.
    /// </exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static async Task<string> ResolveAsync(
        ModelReference reference, HubOptions? options = null, IProgress<DownloadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reference);
        if (reference.Folder is { } local)
            return local;
        options ??= HubOptions.FromEnvironment();
        var repository = reference.Repository!;
        var revision = RevisionOf(reference, options);
        var cache = Path.GetFullPath(options.CacheFolder.Length > 0 ? options.CacheFolder : HubOptions.FromEnvironment(options.Hub).CacheFolder);
        Check(options);
        var cached = Cached(options, cache, repository, revision);
        if (options.Offline)
            return cached ?? throw WithHint(NotCached(options, cache, repository, revision), repository);
        // The content of a commit never changes.
        if (cached is not null && SafeNames.IsCommit(revision) && options is { Hub: HubKind.HuggingFace, LocalFolder: null, AllowPatterns: null } && File.Exists(Path.Combine(cached, "tokenizer.json")))
            return cached;

        using var client = new HubClient(options);
        IHubProtocol protocol = options.Hub == HubKind.ModelScope ? new ModelScopeProtocol(client, options) : new HuggingFaceProtocol(client, options);
        try
        {
            var listing = await ListAsync(protocol, options, repository, revision, cached, cancellationToken).ConfigureAwait(false);
            if (listing is null)
                return cached!;
            var store = StoreOf(options, cache, repository, listing.Commit);
            await new SnapshotDownload(client, protocol, store, options, repository, listing).RunAsync(revision, progress, cancellationToken).ConfigureAwait(false);
            return store.Folder;
        }
        catch (HubFault fault)
        {
            throw WithHint(fault.Final(), repository);
        }
        catch (EngineException failure) when (failure.Parameter == HubErrors.NoAccess)
        {
            throw WithHint(failure, repository);
        }
    }

    /// <summary>Whether all files of a repository that a model needs are on this machine.</summary>
    internal static bool IsCached(ModelReference reference, HubOptions options) =>
        Cached(options, Path.GetFullPath(options.CacheFolder), reference.Repository!, RevisionOf(reference, options)) is not null;

    /// <summary>Fetches the configuration of a repository and the headers of its weights, without the weights: what a plan needs.</summary>
    /// <param name="reference">A repository.</param>
    /// <param name="options">The hub.</param>
    /// <param name="limit">Max bytes to fetch in all.</param>
    /// <param name="cancellationToken">Stops.</param>
    /// <exception cref="EngineException">As <see cref="ResolveAsync"/>; also if the configuration alone exceeds the
    /// limit.</exception>
    internal static async Task<RemoteSizes> ReadSizesAsync(ModelReference reference, HubOptions options, long limit, CancellationToken cancellationToken)
    {
        var repository = reference.Repository!;
        try
        {
            return await new RemoteSizesReader(options, repository, RevisionOf(reference, options), limit).ReadAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (HubFault fault)
        {
            throw WithHint(fault.Final(), repository);
        }
        catch (EngineException failure) when (failure.Parameter == HubErrors.NoAccess)
        {
            throw WithHint(failure, repository);
        }
    }

    // A mistyped path may look like a repository's name.
    private static EngineException WithHint(EngineException failure, string repository) =>
        MistakenName.HintOf(repository) is { Length: > 0 } hint ? new(failure.Kind, failure.Message + hint, failure.Parameter, failure.InnerException) : failure;

    // Null: the hub cannot be reached, and the cached files must do. With nothing cached, it retries more often.
    private static async Task<Listing?> ListAsync(IHubProtocol protocol, HubOptions options, string repository, string revision, string? cached, CancellationToken cancellationToken)
    {
        try
        {
            return await new Backoff(options.Time).RunAsync(
                () => protocol.ListAsync(repository, revision, cancellationToken), cached is null ? Backoff.MaxTries : 1, cancellationToken).ConfigureAwait(false);
        }
        catch (HubFault fault) when (cached is not null)
        {
            options.Warning?.Invoke($"{fault.Message} The files of {repository} in '{cached}' are used; they may not be the newest.");
            return null;
        }
        catch (EngineException failure) when (cached is not null && failure.Parameter == HubErrors.NoAccess)
        {
            options.Warning?.Invoke($"{failure.Message} The files of {repository} in '{cached}' are used.");
            return null;
        }
    }

    private static IModelStore StoreOf(HubOptions options, string cache, string repository, string commit) =>
        options.LocalFolder is { } local ? PlainStore.Local(Path.GetFullPath(local))
        : options.Hub == HubKind.ModelScope ? PlainStore.ModelScope(cache, options.OtherCacheFolder, repository, commit)
        : new HuggingFaceStore(cache, repository, commit, options.Symlinks);

    private static string? Cached(HubOptions options, string cache, string repository, string revision)
    {
        var folder = options is { LocalFolder: null, Hub: HubKind.HuggingFace }
            ? HuggingFaceStore.Find(cache, repository, revision)
            : StoreOf(options, cache, repository, revision) is PlainStore plain && plain.MayHold(revision) ? plain.Folder : null;
        return folder is not null && Directory.Exists(folder) && ModelFiles.AreIn(folder, options.AllowPatterns) ? folder : null;
    }

    private static string RevisionOf(ModelReference reference, HubOptions options)
    {
        if (reference.Revision is { } own && options.Revision is { } asked && own != asked)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"revision is {SafeNames.Quote(asked)}, but the model is named with @{own}; give it once.", "revision");
        var revision = reference.Revision ?? options.Revision ?? (options.Hub == HubKind.ModelScope ? "master" : "main");
        return SafeNames.RevisionFault(revision) is { } fault
            ? throw new EngineException(EngineErrorKind.InvalidOptions, $"revision {SafeNames.Quote(revision)} {fault}; name a branch, a tag or a commit.", "revision")
            : revision;
    }

    private static void Check(HubOptions options)
    {
        if (options.MaxWorkers is < 1 or > MaxParallel || options.MaxParallelRanges is < 1 or > MaxParallel)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"max_workers is {options.MaxWorkers} and max_parallel_ranges {options.MaxParallelRanges}; 1 to {MaxParallel} are allowed.", "max_workers");
    }

    private static EngineException NotCached(HubOptions options, string cache, string repository, string revision)
    {
        var hub = options.Hub == HubKind.ModelScope ? " --hub modelscope" : "";
        return EngineException.ModelFolder(
            repository,
            $"revision {SafeNames.Quote(revision)} is not, or not whole, in '{options.LocalFolder ?? cache}', and offline mode allows no download; run 'localllm download {repository}{hub}' with a network, or without --offline, HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE");
    }
}
