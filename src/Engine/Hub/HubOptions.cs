namespace LocalLlm.Hub;

/// <summary>
/// Where models come from and where they are stored. <see cref="FromEnvironment"/> reads the same variables as the Python tools.
/// </summary>
public sealed record HubOptions
{
    /// <summary>Which protocol <see cref="Endpoint"/> speaks.</summary>
    public HubKind Hub { get; init; } = HubKind.HuggingFace;

    /// <summary>
    /// A branch, a tag or a commit; null: the reference's own, else <c>main</c> (Hugging Face) or <c>master</c> (ModelScope).
    /// </summary>
    public string? Revision { get; init; }

    /// <summary>The hub's address, http or https.</summary>
    public string Endpoint { get; init; } = "https://huggingface.co";

    /// <summary>The access token, or null. It is sent only to the host of <see cref="Endpoint"/>, and no message contains it.</summary>
    public string? Token { get; init; }

    /// <summary>
    /// Hugging Face: the folder of <c>models--org--name</c> folders, shared with huggingface_hub. ModelScope: the folder of <c>org/name</c>
    /// folders. Empty: the environment decides.
    /// </summary>
    public string CacheFolder { get; init; } = "";

    /// <summary>A folder to put the files themselves in, instead of the cache; or null.</summary>
    public string? LocalFolder { get; init; }

    /// <summary>Whether to use only what is on the disk, and never the network.</summary>
    public bool Offline { get; init; }

    /// <summary>Patterns with <c>*</c> and <c>?</c> of the files to fetch; null: those that loading a model needs.</summary>
    public IReadOnlyList<string>? AllowPatterns { get; init; }

    /// <summary>The files that a tokenizer and a chat template need, for <see cref="AllowPatterns"/>.</summary>
    public static IReadOnlyList<string> TokenizerPatterns => ModelFiles.TokenizerPatterns;

    /// <summary>Files to fetch at once, 1 to 64.</summary>
    public int MaxWorkers { get; init; } = 4;

    /// <summary>Byte ranges of one large file to fetch at once, 1 to 64.</summary>
    public int MaxParallelRanges { get; init; } = 4;

    /// <summary>Receives problems that did not stop the download, such as a hub that is down while the cache has the model.</summary>
    public Action<string>? Warning { get; init; }

    /// <summary>The clock for waits between tries.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Min bytes of a range.</summary>
    internal long MinRangeBytes { get; init; } = 4 << 20;

    /// <summary>Whether snapshots link to blobs; false: files are moved into the snapshot, as where links are impossible.</summary>
    internal bool Symlinks { get; init; } = true;

    /// <summary>ModelScope: a second, read-only folder in which its newer library keeps models; or null.</summary>
    internal string? OtherCacheFolder { get; init; }

    /// <summary>
    /// The options that the environment asks for: <c>LOCALLLM_USE_MODELSCOPE</c>, <c>VLLM_USE_MODELSCOPE</c>; <c>HF_ENDPOINT</c>,
    /// <c>HF_TOKEN</c>, <c>HF_TOKEN_PATH</c>, <c>HF_HUB_DISABLE_IMPLICIT_TOKEN</c>, <c>HF_HOME</c>, <c>HF_HUB_CACHE</c>,
    /// <c>HF_HUB_OFFLINE</c>, <c>TRANSFORMERS_OFFLINE</c>, <c>HF_HUB_DISABLE_SYMLINKS</c>; <c>MODELSCOPE_ENDPOINT</c>,
    /// <c>MODELSCOPE_DOMAIN</c>, <c>MODELSCOPE_API_TOKEN</c>, <c>MODELSCOPE_CACHE</c>.
    /// </summary>
    /// <param name="hub">The hub; null: the environment's choice.</param>
    /// <param name="variable">Returns a variable's value, or null if it is unset; null: this process's environment.</param>
    public static HubOptions FromEnvironment(HubKind? hub = null, Func<string, string?>? variable = null) =>
        new HubEnvironment(variable ?? Environment.GetEnvironmentVariable).Options(hub);

    /// <summary>The hub and its address; never the token.</summary>
    public override string ToString() => $"{Hub} {Endpoint}";
}
