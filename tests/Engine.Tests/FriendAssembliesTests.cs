using System.Text.RegularExpressions;
using Xunit;

namespace LocalLlm.Tests;

/// <summary>Shipped projects use only each other's public API: only tests and benchmarks see internals.</summary>
public partial class FriendAssembliesTests
{
    [Fact]
    public void Only_tests_and_the_benchmarks_are_friends()
    {
        var projects = Directory.EnumerateFiles(Path.Combine(TestPaths.Repository, "src"), "*.csproj", SearchOption.AllDirectories).ToArray();
        Assert.True(projects.Length >= 5, $"{projects.Length} projects");
        foreach (var project in projects)
        {
            var own = Path.GetFileNameWithoutExtension(project);
            foreach (Match match in Friend().Matches(File.ReadAllText(project)))
            {
                var friend = match.Groups[1].Value;
                // LocalLlm.ExecutorHost runs steps for tests in a process of its own.
                var isOther = friend is "LocalLlm.Bench" or "LocalLlm.ExecutorHost";
                Assert.True(friend.EndsWith(".Tests", StringComparison.Ordinal) || isOther, $"{own} → {friend}");
            }
        }
    }

    [Fact]
    public void No_source_file_names_a_friend()
    {
        var sources = Directory.EnumerateFiles(Path.Combine(TestPaths.Repository, "src"), "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal));
        Assert.DoesNotContain(sources, file => File.ReadAllText(file).Contains("InternalsVisibleTo", StringComparison.Ordinal));
    }

    [GeneratedRegex("InternalsVisibleTo Include=\"([^\"]+)\"")]
    private static partial Regex Friend();
}
