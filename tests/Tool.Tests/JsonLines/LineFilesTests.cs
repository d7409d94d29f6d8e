using System.Runtime.InteropServices;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.JsonLines;

/// <summary>Results never overwrite unread lines, whatever the names of the two files.</summary>
public sealed partial class LineFilesTests : IDisposable
{
    private const string Lines = "{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
    private readonly string _folder = Directory.CreateTempSubdirectory("localllm-lines-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("same")]
    [InlineData("symbolic link")]
    [InlineData("link to a link")]
    [InlineData("hard link")]
    public async Task An_output_that_is_the_input_under_another_name_is_refused_and_nothing_is_lost(string kind)
    {
        var input = Path.Combine(_folder, "in.jsonl");
        var output = kind == "same" ? Path.Combine(_folder, ".", "in.jsonl") : Path.Combine(_folder, "out.jsonl");
        await File.WriteAllTextAsync(input, Lines, TestContext.Current.CancellationToken);
        if (kind == "hard link")
            Assert.Equal(0, link(input, output));
        if (kind == "symbolic link")
            File.CreateSymbolicLink(output, "in.jsonl");
        if (kind == "link to a link")
        {
            File.CreateSymbolicLink(Path.Combine(_folder, "between.jsonl"), input);
            File.CreateSymbolicLink(output, "between.jsonl");
        }

        var run = await Cli.RunAsync("tokenize", "--model", TestPaths.TinyR1, "--input", input, "--output", output);
        Assert.NotEqual(0, run.ExitCode);
        Assert.Contains("results would overwrite lines that are not read yet", run.Error, StringComparison.Ordinal);
        Assert.Equal(Lines, await File.ReadAllTextAsync(input, TestContext.Current.CancellationToken));
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int link(string target, string name);
}
