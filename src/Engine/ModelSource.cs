using LocalLlm.Hub;
using LocalLlm.Models;

namespace LocalLlm;

/// <summary>From <see cref="EngineOptions"/> that may name repositories to options that name folders.</summary>
public static class ModelSource
{
    /// <summary>What <see cref="EngineOptions.Hub"/> may be.</summary>
    internal const string AllowedHubs = "auto, huggingface, modelscope";

    /// <summary>Whether a text names a hub, or leaves it to the environment.</summary>
    internal static bool IsHub(string hub) => hub is "auto" or "huggingface" or "modelscope";

    /// <summary>Whether anything has to be looked up on a hub before loading.</summary>
    public static bool IsRemote(EngineOptions options) =>
        ModelReference.Remote(options.ModelPath) is not null || (options.TokenizerPath is { } tokenizer && ModelReference.Remote(tokenizer) is not null);

    /// <summary>The hub's options: the environment's, and what the caller says beyond that.</summary>
    /// <exception cref="EngineException">InvalidOptions, parameter <c>hub</c>: there is no such hub.</exception>
    public static HubOptions HubOptionsOf(string hub, string? revision, string? downloadDir, Func<string, string?>? variables)
    {
        if (!IsHub(hub))
            throw new EngineException(EngineErrorKind.InvalidOptions, $"hub is '{hub}'; allowed: {AllowedHubs}.", "hub");
        var options = HubOptions.FromEnvironment(hub switch { "huggingface" => HubKind.HuggingFace, "modelscope" => HubKind.ModelScope, _ => null }, variables);
        return options with { Revision = revision, CacheFolder = string.IsNullOrEmpty(downloadDir) ? options.CacheFolder : Path.GetFullPath(downloadDir) };
    }

    /// <summary>The options with folders in place of repositories; a model keeps its repository's name.</summary>
    /// <param name="options">Checked options.</param>
    /// <param name="resolve">Brings a repository to a folder.</param>
    public static async Task<EngineOptions> ResolveAsync(EngineOptions options, Func<ModelReference, HubOptions, Task<string>> resolve)
    {
        var hub = HubOptionsOf(options.Hub, options.Revision, options.DownloadDir, options.HubVariables);
        if (options.TokenizerPath is { } path && ModelReference.Remote(path) is { } tokenizer)
            options = options with { TokenizerPath = await resolve(tokenizer, hub with { Revision = null, AllowPatterns = ModelFiles.TokenizerPatterns }).ConfigureAwait(false) };
        if (options.UsesDummyWeights)
            hub = hub with { AllowPatterns = ModelFiles.AllButWeights };
        return ModelReference.Remote(options.ModelPath) is { } model
            ? options with { ServedModelName = options.ServedModelName ?? model.Repository, Revision = null, ModelPath = await resolve(model, hub).ConfigureAwait(false) }
            : options;
    }

    /// <summary>The options with the snapshot in place of each folder of the hub's cache that has only one; the model keeps its
    /// repository's name.</summary>
    /// <param name="options">Checked options.</param>
    public static EngineOptions Local(EngineOptions options)
    {
        if (options.TokenizerPath is { } tokenizer)
            options = options with { TokenizerPath = HubCache.Resolve(tokenizer) };
        return HubCache.Resolve(options.ModelPath) is var folder && folder != options.ModelPath ? options with { ServedModelName = LlmEngine.NameOf(options), ModelPath = folder } : options;
    }

    /// <summary>
    /// What a folder is instead of a model's, and what to give instead, to follow its name in a sentence; null: it may be a model's.
    /// </summary>
    /// <param name="folder">A folder, which exists.</param>
    public static string? FaultOf(string folder) => FolderKind.FaultOf(folder);

    /// <summary>Refuses a local folder that is something else than a model: one sentence that says what it is, and what to give
    /// instead.</summary>
    /// <exception cref="EngineException">ModelFolder: it is.</exception>
    internal static void RequireModelFolder(EngineOptions options)
    {
        var folder = HubCache.Resolve(options.ModelPath);
        if (options.UsesDummyWeights && File.Exists(Path.Combine(folder, ModelConfig.FileName)))
            return;
        if (Directory.Exists(folder) && FolderKind.FaultOf(folder) is { } fault)
            throw new EngineException(EngineErrorKind.ModelFolder, $"The folder {SafeNames.Quote(options.ModelPath)} {fault}.");
    }

    /// <summary>
    /// Whether the model is an encoder, which embeds texts and generates none; of a repository only the configuration is downloaded for it.
    /// </summary>
    /// <param name="options">Checked options.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="EngineException">The hub, the network or the disk.</exception>
    public static async Task<bool> IsEncoderAsync(EngineOptions options, CancellationToken cancellationToken)
    {
        if (ModelReference.Remote(options.ModelPath) is not { } model)
            return EncoderConfig.IsIn(HubCache.Resolve(options.ModelPath));
        var hub = HubOptionsOf(options.Hub, options.Revision, options.DownloadDir, options.HubVariables) with { AllowPatterns = [ModelConfig.FileName] };
        return EncoderConfig.IsIn(await ModelHub.ResolveAsync(model, hub, null, cancellationToken).ConfigureAwait(false));
    }
}
