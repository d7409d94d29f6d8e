using System.Text;
using Microsoft.Extensions.Configuration;
using Spectre.Console;
using Xunit;

namespace LocalLlm.Tool.Tests;

/// <summary>Runs the program in this process with its input, output and environment replaced.</summary>
internal static class Cli
{
    /// <summary>The result of a run.</summary>
    internal sealed record Run(int ExitCode, string Output, string Error)
    {
        /// <summary>Lines of the output, which must end with a line feed.</summary>
        public string[] Lines => Output.Length == 0 ? [] : Output.EndsWith('\n') ? Output[..^1].Split('\n') : throw new InvalidDataException("the last line has no line feed");
    }

    public static Task<Run> RunAsync(params string[] args) => RunAsync("", interactive: false, args);

    public static Task<Run> WithInputAsync(string input, params string[] args) => RunAsync(input, interactive: false, args);

    public static Task<Run> WithInputAsync(byte[] input, params string[] args) => RunAsync(input, interactive: false, args);

    public static Task<Run> RunAsync(string input, bool interactive, params string[] args) => RunAsync(new UTF8Encoding(false).GetBytes(input), interactive, args);

    /// <summary>Runs the program with its own environment variables.</summary>
    public static Task<Run> WithVariablesAsync(Func<string, string?> variable, params string[] args) => RunAsync([], interactive: false, args, variable);

    private static async Task<Run> RunAsync(byte[] input, bool interactive, string[] args, Func<string, string?>? variable = null)
    {
        using var binary = new MemoryStream();
        using var output = new StringWriter();
        using var error = new StringWriter();
        output.NewLine = error.NewLine = "\n";
        var terminal = new Terminal
        {
            Input = new StringReader(Encoding.UTF8.GetString(input)),
            OpenInput = () => new MemoryStream(input),
            OpenOutput = () => new Unclosed(binary),
            Output = ConsoleOn(output, colours: interactive),
            Error = ConsoleOn(error, colours: false),
            IsInteractive = interactive,
            Configuration = () => new ConfigurationBuilder().Build(),
            Variable = variable ?? Environment.GetEnvironmentVariable,
        };
        var exitCode = await CommandLineApp.RunAsync(args, terminal, TestContext.Current.CancellationToken);
        return new(exitCode, Encoding.UTF8.GetString(binary.ToArray()) + output, error.ToString());
    }

    private static IAnsiConsole ConsoleOn(TextWriter writer, bool colours) => AnsiConsole.Create(new AnsiConsoleSettings
    {
        Ansi = colours ? AnsiSupport.Yes : AnsiSupport.No,
        ColorSystem = ColorSystemSupport.NoColors,
        Interactive = InteractionSupport.No,
        Out = new AnsiConsoleOutput(writer),
    });

    // The program closes this stream; the test reads the inner one afterwards.
    private sealed class Unclosed(MemoryStream inner) : MemoryStream
    {
        public override void Write(byte[] buffer, int offset, int count) => inner.Write(buffer, offset, count);

        public override void Write(ReadOnlySpan<byte> buffer) => inner.Write(buffer);

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => inner.WriteAsync(buffer, offset, count, cancellationToken);

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => inner.WriteAsync(buffer, cancellationToken);

        public override bool CanSeek => false;
    }
}
