using LocalLlm.Hub;
using LocalLlm.Models;

namespace LocalLlm;

/// <summary>Turns <see cref="EngineOptions"/> that may name repositories into options that name folders.</summary>
public static class ModelSource
{
    /// <summary>Allowed values of <see cref="EngineOptions.Hub"/>.</summary>
    internal const string AllowedHubs = "auto, huggingface, modelscope";

    /// <summary>Whether a value names a hub, or leaves the choice to the environment.</summary>
    internal static bool IsHub(string hub) => hub is "auto" or "huggingface" or "modelscope";

    /// <summary>Whether loading needs a hub.</summary>
    public static bool IsRemote(EngineOptions options) =>
        ModelReference.Remote(options.ModelPath) is not null || (options.TokenizerPath is { } tokenizer && ModelReference.Remote(tokenizer) is not null);

    /// <summary>The hub's options: the environment's, overridden by what the caller gives.</summary>
    /// <exception cref="EngineException">InvalidOptions, parameter <c>hub</c>: unknown hub.</exception>
    public static HubOptions HubOptionsOf(string hub, string? revision, string? downloadDir, Func<string, string?>? variables)
    {
        if (!IsHub(hub))
            throw new EngineException(EngineErrorKind.InvalidOptions, $"hub is '{hub}'; allowed: {AllowedHubs}.", "hub");
        var options = HubOptions.FromEnvironment(hub switch { "huggingface" => HubKind.HuggingFace, "modelscope" => HubKind.ModelScope, _ => null }, variables);
        return options with { Revision = revision, CacheFolder = string.IsNullOrEmpty(downloadDir) ? options.CacheFolder : Path.GetFullPath(downloadDir) };
    }

    /// <summary>Replaces repositories by folders; a model keeps its repository's name.</summary>
    /// <param name="options">Checked options.</param>
    /// <param name="resolve">Gets a repository's folder, downloading it if needed.</param>
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

    /// <summary>Replaces each folder of the hub's cache that has only one snapshot by that snapshot; a model keeps its repository's
    /// name.</summary>
    /// <param name="options">Checked options.</param>
    public static EngineOptions Local(EngineOptions options)
    {
        if (options.TokenizerPath is { } tokenizer)
            options = options with { TokenizerPath = HubCache.Resolve(tokenizer) };
        return HubCache.Resolve(options.ModelPath) is var folder && folder != options.ModelPath ? options with { ServedModelName = LlmEngine.NameOf(options), ModelPath = folder } : options;
    }

    /// <summary>
    /// If a folder is not a model's: what it is and what to give instead, as the rest of a sentence that begins with its name. Null: it
    /// may be a model's.
    /// </summary>
    /// <param name="folder">An existing folder.</param>
    public static string? FaultOf(string folder) => FolderKind.FaultOf(folder);

    /// <summary>Refuses a local folder that is not a model's, in one sentence that says what it is and what to give instead.</summary>
    /// <exception cref="EngineException">ModelFolder: the folder is not a model's.</exception>
    internal static void RequireModelFolder(EngineOptions options)
    {
        var folder = HubCache.Resolve(options.ModelPath);
        if (options.UsesDummyWeights && File.Exists(Path.Combine(folder, ModelConfig.FileName)))
            return;
        if (Directory.Exists(folder) && FolderKind.FaultOf(folder) is { } fault)
            throw new EngineException(EngineErrorKind.ModelFolder, $"The folder {SafeNames.Quote(options.ModelPath)} {fault}.");
    }

    /// <summary>
    /// Whether the model is an encoder, which embeds texts and does not generate. For a repository this downloads only the configuration.
    /// </summary>
    /// <param name="options">Checked options.</param>
    /// <param name="cancellationToken">Cancels the check.</param>
    /// <exception cref="EngineException">The hub, the network or the disk failed.</exception>
    public static async Task<bool> IsEncoderAsync(EngineOptions options, CancellationToken cancellationToken)
    {
        if (ModelReference.Remote(options.ModelPath) is not { } model)
            return EncoderConfig.IsIn(HubCache.Resolve(options.ModelPath));
        var hub = HubOptionsOf(options.Hub, options.Revision, options.DownloadDir, options.HubVariables) with { AllowPatterns = [ModelConfig.FileName] };
        return EncoderConfig.IsIn(await ModelHub.ResolveAsync(model, hub, null, cancellationToken).ConfigureAwait(false));
    }
}
