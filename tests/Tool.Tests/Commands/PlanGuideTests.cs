using LocalLlm.Tests;
using LocalLlm.Tests.Planning;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

/// <summary>The guides to several devices show plans exactly as the program prints them.</summary>
public sealed class PlanGuideTests : IDisposable
{
    private const string Prompt = "$ localllm ";

    private readonly TemporaryFolder _folder = new();

    public PlanGuideTests()
    {
        foreach (var (name, config) in ((string, string)[])[
            ("R1-Distill-Qwen-7B", PublishedConfigs.Qwen7B), ("R1-Distill-Qwen-32B", PublishedConfigs.Qwen32B),
            ("R1-Distill-Llama-70B", PublishedConfigs.Llama70B), ("DeepSeek-R1", PublishedConfigs.V3)])
        {
            Directory.CreateDirectory(Path.Combine(_folder.Path, name));
            File.WriteAllText(Path.Combine(_folder.Path, name, "config.json"), config);
        }
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("several-devices.md", 10)]
    [InlineData("several-devices.zh.md", 9)]
    public async Task Every_line_of_a_plan_in_the_guide_is_printed(string guide, int count)
    {
        var printed = new HashSet<string>();
        var plans = 0;
        foreach (var line in File.ReadLines(Path.Combine(TestPaths.Repository, "docs", "guides", guide)))
        {
            if (line.StartsWith(Prompt + "plan ", StringComparison.Ordinal))
            {
                plans++;
                printed = await PrintedAsync(line[Prompt.Length..].Split(' '));
            }
            else if (line.StartsWith("```", StringComparison.Ordinal))
            {
                printed = [];
            }
            else if (printed.Count > 0 && line.Trim() is not ("" or "…"))
            {
                Assert.True(printed.Contains(line), $"The program does not print this line of {guide}:\n{line}\nIt prints:\n{string.Join('\n', printed)}");
            }
        }

        Assert.Equal(count, plans);
    }

    private async Task<HashSet<string>> PrintedAsync(string[] words)
    {
        words[1] = Path.Combine(_folder.Path, words[1]);
        var run = await Cli.RunAsync(words);
        return [.. (run.Output + run.Error).Replace(_folder.Path + Path.DirectorySeparatorChar, "", StringComparison.Ordinal).Split('\n')];
    }
}
