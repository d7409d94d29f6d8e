using LocalLlm.Hub;

namespace LocalLlm.Tool;

/// <summary>Downloads models that are named <c>org/name</c>, with progress on standard error.</summary>
internal static class ModelDownload
{
    /// <summary>Replaces the repositories in the options by folders.</summary>
    /// <exception cref="EngineException">The options are invalid, or the hub, the network or the disk failed.</exception>
    public static async Task<EngineOptions> ResolveAsync(EngineOptions options, Terminal terminal, CancellationToken cancellationToken)
    {
        // Check the options first: nothing is downloaded for options that cannot be used.
        EngineOptionsValidator.Validate(options);
        return ModelSource.IsRemote(options)
            ? await ModelSource.ResolveAsync(options with { HubVariables = terminal.Variable }, (model, hub) => ResolveAsync(model, hub, terminal, cancellationToken))
            : ModelSource.Local(options);
    }

    /// <summary>The folder with a tokenizer's files. Their content is not checked here.</summary>
    /// <exception cref="EngineException">InvalidOptions: the text names neither a folder nor a repository. Otherwise the hub, the
    /// network or the disk failed.</exception>
    public static async Task<string> TokenizerAsync(string model, HubOptions hub, Terminal terminal, CancellationToken cancellationToken)
    {
        var reference = ModelReference.Parse(model);
        return reference.Folder ?? await ResolveAsync(reference, hub with { AllowPatterns = HubOptions.TokenizerPatterns }, terminal, cancellationToken);
    }

    /// <summary>The folder of a model.</summary>
    /// <exception cref="EngineException">The options are invalid, or the hub, the network or the disk failed.</exception>
    public static Task<string> ResolveAsync(ModelReference model, HubOptions hub, Terminal terminal, CancellationToken cancellationToken)
    {
        hub = hub with { Warning = text => terminal.ErrorText.WriteLine("warning: " + text) };
        return terminal.ShowsProgress
            ? DownloadBars.ShowAsync(terminal.Error, progress => ModelHub.ResolveAsync(model, hub, progress, cancellationToken))
            : ModelHub.ResolveAsync(model, hub, new DownloadLines(terminal.ErrorText), cancellationToken);
    }
}
