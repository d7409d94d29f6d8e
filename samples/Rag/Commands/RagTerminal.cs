using System.Text;
using Spectre.Console;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary>The streams that commands use; commands never use <see cref="Console"/> themselves, so that tests can run them.</summary>
internal sealed record RagTerminal(TextReader Input, TextWriter Output, TextWriter Error, bool IsInteractive)
{
    private IAnsiConsole? _console;

    /// <summary>Standard output with colours and tables.</summary>
    public IAnsiConsole Console => _console ??= AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Output) });

    /// <summary>This process's streams, in UTF-8 whatever the locale says.</summary>
    public static RagTerminal OfProcess()
    {
        System.Console.OutputEncoding = System.Console.InputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        return new(System.Console.In, System.Console.Out, System.Console.Error, !System.Console.IsInputRedirected && !System.Console.IsOutputRedirected);
    }
}
