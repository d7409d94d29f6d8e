using System.CommandLine;
using LocalLlm.Tool.JsonLines;

namespace LocalLlm.Tool.Arguments;

/// <summary><c>--input</c> and <c>--output</c> of the JSONL commands.</summary>
internal sealed class LineFileArguments(string lines, string results)
{
    private readonly Option<string?> _input = Options.Text("--input", $"{lines}; '-' is standard input.", "FILE.jsonl", "-i");
    private readonly Option<string?> _output = Options.Text(
        "--output",
        $"{results}, in the order of the input; '-' (default) is standard output.",
        "FILE.jsonl",
        "-o");

    /// <summary>Adds both options to <paramref name="command"/>.</summary>
    public void AddTo(Command command)
    {
        command.Add(_input);
        command.Add(_output);
    }

    /// <summary>Whether an input was given.</summary>
    /// <exception cref="UsageException">There is an output without an input.</exception>
    public bool AreGiven(ParseResult result)
    {
        if (result.GetValue(_input) is not null)
            return true;
        if (result.GetValue(_output) is not null)
            throw new UsageException("--output needs --input FILE.jsonl");
        return false;
    }

    /// <summary>The input.</summary>
    /// <exception cref="UsageException">No input was given.</exception>
    public string RequireInput(ParseResult result) => result.GetValue(_input) ?? throw new UsageException("no input is given; add --input FILE.jsonl, or --input - for standard input");

    /// <summary>Opens the input and the output.</summary>
    /// <exception cref="UsageException">No input was given.</exception>
    public LineFiles Open(ParseResult result, Terminal terminal) => LineFiles.Open(
        RequireInput(result),
        result.GetValue(_output) ?? LineFiles.Standard,
        terminal);
}
