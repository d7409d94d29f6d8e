using System.CommandLine;
using LocalLlm.Tool.Arguments;

namespace LocalLlm.Tool.Commands;

/// <summary>
/// <c>localllm tokenize</c>: <c>text</c> → <c>token_ids</c>; with <c>--detokenize</c>, or for lines with ids, the reverse.
/// </summary>
internal static class TokenizeCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Create(Terminal terminal)
    {
        var arguments = new TokenizerArguments();
        var files = new LineFileArguments(
            "One object a line with text (or with token_ids, which are detokenized)",
            "One object a line with token_ids (or text), or error");
        var noSpecialTokens = Options.Flag("--no-special-tokens", "Adds no special tokens such as a beginning-of-sequence token.");
        var detokenize = Options.Flag("--detokenize", "The reverse: token_ids to text; also 'localllm detokenize'.");
        var skipSpecialTokens = Options.Flag("--skip-special-tokens", "When detokenizing, leaves special tokens out of the text.");
        var command = new Command("tokenize", "Turns texts into token ids.") { noSpecialTokens, detokenize, skipSpecialTokens };
        arguments.AddTo(command);
        files.AddTo(command);
        command.SetAction(async (result, cancellationToken) =>
        {
            files.RequireInput(result);
            return await TokenizerLines.RunAsync(
                await arguments.FolderOfAsync(result, terminal, cancellationToken),
                new()
                {
                    AddSpecialTokens = !result.GetValue(noSpecialTokens),
                    SkipSpecialTokens = result.GetValue(skipSpecialTokens),
                    OnlyDetokenize = result.GetValue(detokenize),
                },
                () => files.Open(result, terminal),
                terminal,
                cancellationToken);
        });
        return command;
    }
}
