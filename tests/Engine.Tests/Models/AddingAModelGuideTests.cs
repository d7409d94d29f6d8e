using System.Text.RegularExpressions;
using Xunit;

namespace LocalLlm.Tests.Models;

/// <summary>The guide to adding a model names files and types that exist.</summary>
public partial class AddingAModelGuideTests
{
    [Fact]
    public void Every_file_that_the_guide_links_to_is_there()
    {
        var guides = Path.Combine(TestPaths.Repository, "docs", "guides");
        var links = Link().Matches(File.ReadAllText(Path.Combine(guides, "adding-a-model.md"))).Select(match => match.Groups[1].Value).ToArray();
        Assert.NotEmpty(links);
        Assert.All(links, link => Assert.True(Path.Exists(Path.Combine(guides, link)), link));
    }

    [Fact]
    public void Every_type_that_the_guide_names_is_in_the_engine_or_its_tests()
    {
        var text = File.ReadAllText(Path.Combine(TestPaths.Repository, "docs", "guides", "adding-a-model.md"));
        var known = typeof(LlmEngine).Assembly.GetTypes().Concat(typeof(AddingAModelGuideTests).Assembly.GetTypes()).Select(type => type.Name.Split('`')[0]).ToHashSet(StringComparer.Ordinal);
        var named = TypeName().Matches(text).Select(match => match.Groups[1].Value).Distinct().ToArray();
        Assert.True(named.Length > 20);
        string[] members = ["MaxModelLength", "ActivationElements", "RefuseQuantization", "BeginStep", "AddPositions", "PreparePositions", "PromptLengthThreshold", "IsRecordable", "SupportsPipelineParallel", "LinearMethod", "AddValues", "Family", "Other"];
        string[] folders = ["Execution", "KvCache", "Layers", "Ops", "Scheduling", "Weights", "XlmRoberta"];
        Assert.Empty(named.Except(known).Except(members).Except(folders));
    }

    [GeneratedRegex(@"\]\(([^)#]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"`([A-Z][A-Za-z0-9]+)(?=[`.(])")]
    private static partial Regex TypeName();
}
