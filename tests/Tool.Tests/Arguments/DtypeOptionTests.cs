using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Arguments;

/// <summary>The option <c>--dtype</c>.</summary>
public sealed class DtypeOptionTests
{
    [Theory]
    [InlineData("torch.float32", 0)]
    [InlineData("torch.half", 0)]
    [InlineData("torch.int8", 2)]
    [InlineData("float64", 2)]
    public async Task The_option_reads_the_same_names(string name, int exitCode)
    {
        var run = await Cli.RunAsync("plan", TestPaths.TinyR1, "--device", "cpu", "--dtype", name);
        Assert.Equal(exitCode, run.ExitCode);
        if (exitCode != 0)
            Assert.Contains($"dtype is '{name}'", run.Error, StringComparison.Ordinal);
    }
}
