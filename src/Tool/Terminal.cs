using System.Text;
using LocalLlm.Tool.Serving;
using Microsoft.Extensions.Configuration;
using Spectre.Console;

namespace LocalLlm.Tool;

/// <summary>The terminal that a command uses. Commands do not use <see cref="Console"/>, so tests can run them in-process.</summary>
internal sealed record Terminal
{
    /// <summary>The lines that a person types, or those of a redirected file.</summary>
    public required TextReader Input { get; init; }

    /// <summary>Opens standard input as bytes, for <c>--input -</c>.</summary>
    public required Func<Stream> OpenInput { get; init; }

    /// <summary>Opens standard output as bytes, for <c>--output -</c>.</summary>
    public required Func<Stream> OpenOutput { get; init; }

    /// <summary>Standard output: answers, tables, help.</summary>
    public required IAnsiConsole Output { get; init; }

    /// <summary>Standard error: progress, summaries, errors.</summary>
    public required IAnsiConsole Error { get; init; }

    /// <summary>Whether a person types the input and reads the output; prompts, colours and speeds are then shown.</summary>
    public required bool IsInteractive { get; init; }

    /// <summary>The source of options that the command line does not give.</summary>
    public Func<IConfiguration> Configuration { get; init; } = ServeConfiguration.OfProcess;

    /// <summary>Reads an environment variable.</summary>
    public Func<string, string?> Variable { get; init; } = Environment.GetEnvironmentVariable;

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Standard output for text that is written unchanged, without markup or wrapping.</summary>
    public TextWriter Text => Output.Profile.Out.Writer;

    /// <summary>Standard error as plain text.</summary>
    public TextWriter ErrorText => Error.Profile.Out.Writer;

    /// <summary>Whether a progress bar may be drawn.</summary>
    public bool ShowsProgress => Error.Profile.Out.IsTerminal;

    /// <summary>This process's standard streams, in UTF-8 whatever the locale.</summary>
    public static Terminal OfProcess()
    {
        var utf8 = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        Console.OutputEncoding = utf8;
        Console.InputEncoding = utf8;
        return new()
        {
            Input = Console.In,
            OpenInput = Console.OpenStandardInput,
            OpenOutput = StandardOutput.Open,
            Output = ConsoleOn(Console.Out),
            Error = ConsoleOn(Console.Error),
            IsInteractive = !Console.IsInputRedirected && !Console.IsOutputRedirected,
        };
    }

    private static IAnsiConsole ConsoleOn(TextWriter writer) =>
        AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer) });
}
