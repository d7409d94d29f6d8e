using System.CommandLine;
using LocalLlm.Samples.Rag.Commands;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag;

/// <summary>The program: runs one command, and reports every failure as one line and an exit code.</summary>
internal static class RagApplication
{
    private const int Failure = 1;
    private const int Usage = 2;
    private const int Cancelled = 130;

    public static async Task<int> RunAsync(string[] args, RagTerminal terminal, CancellationToken cancellationToken = default)
    {
        var result = CreateRoot(terminal).Parse(args);
        if (result.Errors.Count > 0)
        {
            foreach (var error in result.Errors)
                await terminal.Error.WriteLineAsync("error: " + error.Message);
            await terminal.Error.WriteLineAsync("Run with --help for the options.");
            return Usage;
        }

        try
        {
            return await result.InvokeAsync(new() { EnableDefaultExceptionHandler = false, Output = terminal.Output, Error = terminal.Error }, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return Cancelled;
        }
        catch (Exception failure)
        {
            await terminal.Error.WriteLineAsync("error: " + MessageOf(failure).ReplaceLineEndings(" "));
            return Failure;
        }
    }

    private static RootCommand CreateRoot(RagTerminal terminal)
    {
        var common = new CommonOptions();
        var root = new RootCommand("Answers questions from documents, with all models in this process. Without a command: a chat, or, where nobody types, two example questions.")
        {
            AskCommand.Create(common, terminal),
            ChatCommand.Create(common, terminal),
            IngestCommand.Create(common, terminal),
            SearchCommand.Create(common, terminal),
            ServeCommand.Create(common, terminal),
            EvalCommand.Create(common, terminal),
            EvalAnswersCommand.Create(common, terminal),
        };
        common.AddTo(root);
        root.SetAction((result, cancellationToken) => terminal.IsInteractive
            ? ChatCommand.RunAsync(common, result, terminal, cancellationToken)
            : AskCommand.RunExamplesAsync(common, result, terminal, cancellationToken));
        return root;
    }

    private static string MessageOf(Exception failure) => failure switch
    {
        RagException or EngineException or IOException or UnauthorizedAccessException => failure.Message,
        OptionsValidationException faults => string.Join(" ", faults.Failures),
        InvalidOperationException when failure.Source == "Microsoft.Extensions.Configuration.Binder" => $"the configuration has what it must not: {failure.Message} {failure.InnerException?.Message}".TrimEnd(),
        _ => $"unexpected failure ({failure.GetType().Name}): {failure.Message}",
    };
}
