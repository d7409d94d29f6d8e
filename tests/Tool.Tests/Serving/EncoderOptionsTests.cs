using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Serving;

/// <summary>Options of <c>serve</c> for an embedding model, alone or beside another model.</summary>
public sealed class EncoderOptionsTests
{
    [Theory]
    [InlineData("--max-num-seqs 4", "--max-num-seqs")]
    [InlineData("--enable-prefix-caching --seed 1", "--enable-prefix-caching, --seed")]
    [InlineData("--chat-template x", "--chat-template")]
    [InlineData("--reasoning-parser none --enable-auto-tool-choice", "--reasoning-parser, --enable-auto-tool-choice")]
    [InlineData("--gpu-memory-utilization 0.5", "--gpu-memory-utilization")]
    [InlineData("--embedding-model models/tiny-m3", "--embedding-model")]
    [InlineData("--score-weights 1,2", "--score-weights: '1,2'")]
    [InlineData("--score-weights 0,0,0", "--score-weights: '0,0,0'")]
    [InlineData("--score-weights -1,0,1", "--score-weights: '-1,0,1'")]
    public async Task Options_that_mean_nothing_to_it_are_refused_by_name(string options, string expected)
    {
        var run = await Cli.RunAsync(["serve", TestPaths.TinyM3, "--port", "0", .. options.Split(' ')]);
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains(expected, run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/nowhere", "is not a folder")]
    [InlineData(null, "is no embedding model")]
    public async Task A_model_beside_that_cannot_embed_is_refused_before_the_server_starts(string? model, string expected)
    {
        var run = await Cli.RunAsync("serve", TestPaths.TinyR1, "--port", "0", "--device", "cpu", "--embedding-model", model ?? TestPaths.TinyR1);
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains("--embedding-model", run.Error, StringComparison.Ordinal);
        Assert.Contains(expected, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Weights_of_scores_that_nothing_would_use_are_refused()
    {
        var run = await Cli.RunAsync("serve", TestPaths.TinyR1, "--port", "0", "--score-weights", "1,0,0");
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains("--score-weights", run.Error, StringComparison.Ordinal);
    }
}
