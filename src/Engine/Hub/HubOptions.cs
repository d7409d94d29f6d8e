namespace LocalLlm.Hub;

/// <summary>
/// Where models come from and where they are kept. <see cref="FromEnvironment"/> reads the variables that the Python tools read.
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

    /// <summary>The access token, or null. It is sent to the host of <see cref="Endpoint"/> only and is in no message.</summary>
    public string? Token { get; init; }

    /// <summary>
    /// Hugging Face: the folder of <c>models--org--name</c> folders, shared with huggingface_hub. ModelScope: the folder of <c>org/name</c>
    /// folders. Empty: as the environment says.
    /// </summary>
    public string CacheFolder { get; init; } = "";

    /// <summary>A folder that gets the files themselves instead of the cache, or null.</summary>
    public string? LocalFolder { get; init; }

    /// <summary>Uses what is on the disk and never the network.</summary>
    public bool Offline { get; init; }

    /// <summary>File names with <c>*</c> and <c>?</c> to fetch; null: those that loading a model needs.</summary>
    public IReadOnlyList<string>? AllowPatterns { get; init; }

    /// <summary>What a tokenizer and a chat template need, for <see cref="AllowPatterns"/>.</summary>
    public static IReadOnlyList<string> TokenizerPatterns => ModelFiles.TokenizerPatterns;

    /// <summary>Files that are fetched at once, 1 to 64.</summary>
    public int MaxWorkers { get; init; } = 4;

    /// <summary>Byte ranges of one large file that are fetched at once, 1 to 64.</summary>
    public int MaxParallelRanges { get; init; } = 4;

    /// <summary>Told of what did not stop the download, such as a hub that is down while the cache has the model.</summary>
    public Action<string>? Warning { get; init; }

    /// <summary>The clock of waits between tries.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>No range is smaller.</summary>
    internal long MinRangeBytes { get; init; } = 4 << 20;

    /// <summary>False: files are moved into the snapshot, as where links are impossible.</summary>
    internal bool Symlinks { get; init; } = true;

    /// <summary>ModelScope: a second folder in which its newer library keeps models, only read; or null.</summary>
    internal string? OtherCacheFolder { get; init; }

    /// <summary>
    /// The options that the environment asks for: <c>LOCALLLM_USE_MODELSCOPE</c>, <c>VLLM_USE_MODELSCOPE</c>; <c>HF_ENDPOINT</c>,
    /// <c>HF_TOKEN</c>, <c>HF_TOKEN_PATH</c>, <c>HF_HUB_DISABLE_IMPLICIT_TOKEN</c>, <c>HF_HOME</c>, <c>HF_HUB_CACHE</c>,
    /// <c>HF_HUB_OFFLINE</c>, <c>TRANSFORMERS_OFFLINE</c>, <c>HF_HUB_DISABLE_SYMLINKS</c>; <c>MODELSCOPE_ENDPOINT</c>,
    /// <c>MODELSCOPE_DOMAIN</c>, <c>MODELSCOPE_API_TOKEN</c>, <c>MODELSCOPE_CACHE</c>.
    /// </summary>
    /// <param name="hub">The hub; null: the environment's choice.</param>
    /// <param name="variable">A variable's value or null; null: this process's environment.</param>
    public static HubOptions FromEnvironment(HubKind? hub = null, Func<string, string?>? variable = null) =>
        new HubEnvironment(variable ?? Environment.GetEnvironmentVariable).Options(hub);

    /// <summary>The hub and its address; never the token.</summary>
    public override string ToString() => $"{Hub} {Endpoint}";
}
