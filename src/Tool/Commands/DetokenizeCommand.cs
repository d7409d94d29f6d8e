using System.CommandLine;
using LocalLlm.Tool.Arguments;

namespace LocalLlm.Tool.Commands;

/// <summary><c>localllm detokenize</c>: <c>token_ids</c> → <c>text</c>.</summary>
internal static class DetokenizeCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Create(Terminal terminal)
    {
        var arguments = new TokenizerArguments();
        var files = new LineFileArguments("One object a line with token_ids", "One object a line with text, or error");
        var skipSpecialTokens = Options.Flag("--skip-special-tokens", "Leaves special tokens out of the text.");
        var command = new Command("detokenize", "Turns token ids into texts.") { skipSpecialTokens };
        arguments.AddTo(command);
        files.AddTo(command);
        command.SetAction(async (result, cancellationToken) =>
        {
            files.RequireInput(result);
            return await TokenizerLines.RunAsync(
                await arguments.FolderOfAsync(result, terminal, cancellationToken),
                new() { SkipSpecialTokens = result.GetValue(skipSpecialTokens), OnlyDetokenize = true },
                () => files.Open(result, terminal),
                terminal,
                cancellationToken);
        });
        return command;
    }
}
