using System.Text.RegularExpressions;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests.Guides;

public partial class GuideTests
{
    [Theory]
    [InlineData("extensions-ai.md", "ExtensionsAiGuide.cs")]
    [InlineData("semantic-kernel.md", "SemanticKernelGuide.cs")]
    public void Every_block_of_code_in_a_guide_is_code_that_the_tests_run(string guide, string source)
    {
        var page = File.ReadAllText(Path.Combine(TestPaths.Repository, "docs", "guides", guide));
        var code = Lines(File.ReadAllText(Path.Combine(TestPaths.Repository, "tests", "Extensions.AI.Tests", "Guides", source)));
        var blocks = CodeBlock().Matches(page);
        Assert.NotEmpty(blocks);
        Assert.All(blocks, block => Assert.Contains(Lines(block.Groups[1].Value), code, StringComparison.Ordinal));
    }

    private static string Lines(string text) => string.Join('\n', text.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0)) + "\n";

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CodeBlock();
}
