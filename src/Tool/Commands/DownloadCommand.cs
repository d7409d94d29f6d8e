using System.CommandLine;
using LocalLlm.Hub;
using LocalLlm.Tool.Arguments;

namespace LocalLlm.Tool.Commands;

/// <summary><c>localllm download</c>: downloads a model to this machine and prints the folder.</summary>
internal static class DownloadCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Create(Terminal terminal)
    {
        var model = new Argument<string>("MODEL") { Description = "The model as org/name or org/name@revision; a local folder is printed as it is." };
        var hub = new HubArguments("--cache-dir");
        var localDir = Options.Text("--local-dir", "A folder that gets the files themselves, instead of the cache.", "DIR");
        var token = Options.Text("--token", "The access token; default: HF_TOKEN, the one of 'hf auth login', or MODELSCOPE_API_TOKEN.", "TOKEN");
        var offline = Options.Flag("--offline", "Downloads nothing: prints the folder if the model is there, else fails; also HF_HUB_OFFLINE.");
        var include = new Option<string[]>("--include") { Description = "Downloads files of these names (with * and ?) instead of those that loading needs.", HelpName = "PATTERN" };
        var command = new Command("download", "Downloads a model from Hugging Face or ModelScope and prints its folder.") { model };
        foreach (var option in hub.All.Concat([localDir, token, offline, include]))
            command.Add(option);
        command.SetAction(async (result, cancellationToken) =>
        {
            var options = hub.Build(result, terminal);
            options = options with
            {
                LocalFolder = result.GetValue(localDir),
                Token = result.GetValue(token) ?? options.Token,
                Offline = result.GetValue(offline) || options.Offline,
                AllowPatterns = result.GetValue(include) is { Length: > 0 } patterns ? patterns : null,
            };
            var reference = ModelReference.Parse(result.GetValue(model)!);
            await terminal.Text.WriteLineAsync(await ModelDownload.ResolveAsync(reference, options, terminal, cancellationToken));
            return ExitCodes.Success;
        });
        return command;
    }
}
