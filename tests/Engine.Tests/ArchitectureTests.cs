using System.Text.RegularExpressions;
using System.Xml.Linq;
using Xunit;

namespace LocalLlm.Tests;

/// <summary>Keeps the order of the engine's folders that docs/architecture.md draws.</summary>
public partial class ArchitectureTests
{
    // From the top; a folder may use those after it.
    private static readonly string[] Order =
        ["Templating", "Scheduling", "Tokenization", "Execution", "KvCache", "Sampling", "Parsing", "Models", "Layers", "Ops", "Weights", "Parallel", "Interop", "Hub"];

    // The libraries that stand alone, and which of the others each of them may use.
    private static readonly Dictionary<string, string[]> Libraries = new() { ["Primitives"] = [], ["Jinja"] = [], ["Tokenizers"] = ["Primitives"], ["Grammars"] = ["Primitives"] };

    private static readonly string Engine = Path.Combine(TestPaths.Repository, "src", "Engine");

    [Fact]
    public void Every_folder_has_a_place_in_the_order()
    {
        var folders = Directory.EnumerateDirectories(Engine).Select(Path.GetFileName).Where(name => name is not ("bin" or "obj"));
        Assert.Equal(Order.Order(), folders.Order());
    }

    [Fact]
    public void A_folder_uses_only_those_below_it()
    {
        var violations = new List<string>();
        for (var place = 0; place < Order.Length; place++)
        {
            foreach (var file in Directory.EnumerateFiles(Path.Combine(Engine, Order[place]), "*.cs", SearchOption.AllDirectories))
            {
                foreach (Match match in UsedFolder().Matches(File.ReadAllText(file)))
                {
                    var used = Array.IndexOf(Order, match.Groups[1].Value);
                    if (used >= 0 && used < place)
                        violations.Add($"{Path.GetRelativePath(Engine, file)} uses {Order[used]}");
                }
            }
        }

        Assert.Empty(violations);
    }

    [Fact]
    public void Every_folder_is_named_in_the_architecture_page()
    {
        var page = File.ReadAllText(Path.Combine(TestPaths.Repository, "docs", "architecture.md"));
        Assert.All(Order, folder => Assert.Contains($"| `{folder}` |", page, StringComparison.Ordinal));
    }

    [Fact]
    public void A_library_that_stands_alone_references_nothing_of_the_engine()
    {
        foreach (var (library, allowed) in Libraries)
        {
            var project = XDocument.Load(Path.Combine(TestPaths.Repository, "src", library, $"LocalLlm.{library}.csproj"));
            var referenced = project.Descendants("ProjectReference").Select(reference => Path.GetFileNameWithoutExtension((string)reference.Attribute("Include")!));
            Assert.Equal(allowed.Select(name => "LocalLlm." + name), referenced);
            Assert.Empty(project.Descendants("PackageReference"));
        }
    }

    [Fact]
    public void Only_tests_and_benchmarks_see_the_internals_of_a_library()
    {
        foreach (var library in Libraries.Keys)
        {
            var project = XDocument.Load(Path.Combine(TestPaths.Repository, "src", library, $"LocalLlm.{library}.csproj"));
            var friends = project.Descendants("InternalsVisibleTo").Select(friend => (string)friend.Attribute("Include")!);
            Assert.All(friends, friend => Assert.True(friend.EndsWith(".Tests", StringComparison.Ordinal) || friend == "LocalLlm.Bench", friend));
        }
    }

    [GeneratedRegex(@"^using (?:static )?LocalLlm\.([A-Za-z]+)", RegexOptions.Multiline)]
    private static partial Regex UsedFolder();
}
