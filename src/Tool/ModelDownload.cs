using LocalLlm.Hub;

namespace LocalLlm.Tool;

/// <summary>Brings models that are named as <c>org/name</c> to this machine, with progress on standard error.</summary>
internal static class ModelDownload
{
    /// <summary>Options with folders in place of repositories.</summary>
    /// <exception cref="EngineException">The options, the hub, the network or the disk.</exception>
    public static async Task<EngineOptions> ResolveAsync(EngineOptions options, Terminal terminal, CancellationToken cancellationToken)
    {
        // Before anything is downloaded for options that cannot be loaded with.
        EngineOptionsValidator.Validate(options);
        return ModelSource.IsRemote(options)
            ? await ModelSource.ResolveAsync(options with { HubVariables = terminal.Variable }, (model, hub) => ResolveAsync(model, hub, terminal, cancellationToken))
            : ModelSource.Local(options);
    }

    /// <summary>A folder with a tokenizer's files; what it holds is for whoever reads it.</summary>
    /// <exception cref="EngineException">InvalidOptions: the text names neither a folder nor a repository. Else the hub, the network or the
    /// disk.</exception>
    public static async Task<string> TokenizerAsync(string model, HubOptions hub, Terminal terminal, CancellationToken cancellationToken)
    {
        var reference = ModelReference.Parse(model);
        return reference.Folder ?? await ResolveAsync(reference, hub with { AllowPatterns = HubOptions.TokenizerPatterns }, terminal, cancellationToken);
    }

    /// <summary>A model's folder.</summary>
    /// <exception cref="EngineException">The options, the hub, the network or the disk.</exception>
    public static Task<string> ResolveAsync(ModelReference model, HubOptions hub, Terminal terminal, CancellationToken cancellationToken)
    {
        hub = hub with { Warning = text => terminal.ErrorText.WriteLine("warning: " + text) };
        return terminal.ShowsProgress
            ? DownloadBars.ShowAsync(terminal.Error, progress => ModelHub.ResolveAsync(model, hub, progress, cancellationToken))
            : ModelHub.ResolveAsync(model, hub, new DownloadLines(terminal.ErrorText), cancellationToken);
    }
}
