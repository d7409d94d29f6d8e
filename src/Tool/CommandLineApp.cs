using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using LocalLlm.Tokenizers;
using LocalLlm.Tool.Arguments;
using LocalLlm.Tool.Commands;
using LocalLlm.Tool.Serving;
using Microsoft.Extensions.Options;

namespace LocalLlm.Tool;

/// <summary>The program: parses the command line, runs one command, and turns every failure into one line and an exit code.</summary>
internal static class CommandLineApp
{
    // Long enough for the engine to finish its step and release the device.
    private static readonly TimeSpan TerminationTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Runs <c>localllm</c> with <paramref name="args"/>.</summary>
    /// <returns>The exit code, see <see cref="ExitCodes"/>.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, Terminal terminal, CancellationToken cancellationToken = default)
    {
        var root = CreateRoot(terminal);
        args = OptionSpelling.Normalize(args, root);
        var result = Parse(root, args);

        // Help and version clear the parse errors; a command must not run with any.
        var isCommand = result.Action is ParseErrorAction || result.Action == result.CommandResult.Command.Action;
        if (isCommand && UsageErrors.Of(result, args) is { Count: > 0 } errors)
        {
            foreach (var error in errors)
                await terminal.ErrorText.WriteLineAsync("error: " + OneLine(error));
            await terminal.ErrorText.WriteLineAsync($"Run '{UsageErrors.PathOf(result)} --help' for the options.");
            return ExitCodes.Usage;
        }

        try
        {
            var isServer = result.CommandResult.Command.Name == ServeCommand.Name && isCommand;
            if (isServer)
            {
                args = ServeConfiguration.Complete(args, result, terminal.Configuration());
                result = Parse(root, args);
                if (UsageErrors.Of(result, args) is { Count: > 0 } faults)
                    throw new UsageException(string.Join(" ", faults));
            }

            return await result.InvokeAsync(
                new InvocationConfiguration
                {
                    EnableDefaultExceptionHandler = false,
                    // A server ends its requests by its own rules.
                    ProcessTerminationTimeout = isServer ? null : TerminationTimeout,
                    Output = terminal.Text,
                    Error = terminal.ErrorText,
                },
                cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return ExitCodes.Cancelled;
        }
        catch (Exception failure) when (StandardOutput.IsGone(failure))
        {
            // End silently, like every program in a pipeline whose reader has gone.
            return ExitCodes.ReaderGone;
        }
        catch (Exception failure)
        {
            await terminal.ErrorText.WriteLineAsync("error: " + Lines(failure));
            return ExitCodeOf(failure);
        }
        finally
        {
            await terminal.Text.FlushAsync(CancellationToken.None);
        }
    }

    private static RootCommand CreateRoot(Terminal terminal)
    {
        var root = new RootCommand("Runs DeepSeek-family language models in this process. Options are named as 'vllm serve' names them.")
        {
            ServeCommand.Create(terminal),
            GenerateCommand.Create(terminal),
            ChatCommand.Create(terminal),
            EmbedCommand.Create(terminal),
            PlanCommand.Create(terminal),
            BenchCommand.Create(terminal),
            TokenizeCommand.Create(terminal),
            DetokenizeCommand.Create(terminal),
            RenderCommand.Create(terminal),
            DoctorCommand.Create(terminal),
            DownloadCommand.Create(terminal),
        };
        root.SetAction(result => new HelpAction().Invoke(result));
        return root;
    }

    /// <summary>Parses arguments without running anything.</summary>
    internal static ParseResult Parse(Terminal terminal, IReadOnlyList<string> args) => Parse(CreateRoot(terminal), args);

    private static ParseResult Parse(RootCommand root, IReadOnlyList<string> args) =>
        root.Parse(OptionSpelling.Normalize(args, root), new ParserConfiguration { EnablePosixBundling = false, ResponseFileTokenReplacer = null });

    private static int ExitCodeOf(Exception failure) => failure switch
    {
        UsageException or OptionsValidationException => ExitCodes.Usage,
        EngineException { Kind: EngineErrorKind.InvalidOptions, Parameter: not "model" } => ExitCodes.Usage,
        EngineException { Kind: EngineErrorKind.EngineDead } => ExitCodes.EngineDead,
        _ => ExitCodes.Failure,
    };

    private static string MessageOf(Exception failure) => failure switch
    {
        EngineException or TokenizerException or UsageException or IOException or UnauthorizedAccessException or OptionsValidationException => failure.Message,
        OutOfMemoryException => "too little memory; lower --gpu-memory-utilization or --max-model-len, or choose a smaller model",
        _ => $"unexpected failure ({failure.GetType().Name}): {failure.Message}",
    };

    // One line, except that suggested command lines stay on lines of their own.
    private static string Lines(Exception failure) => failure is EngineException { Kind: EngineErrorKind.InvalidOptions }
        ? string.Join("\n  ", failure.Message.Split("\n  ").Select(OneLine))
        : OneLine(MessageOf(failure));

    private static string OneLine(string message) => string.Join(
        ' ',
        message.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
}
