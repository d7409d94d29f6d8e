using System.Text.RegularExpressions;
using Xunit;

namespace LocalLlm.Tests;

/// <summary>Keeps the order of the engine's folders that docs/architecture.md draws.</summary>
public partial class ArchitectureTests
{
    // From the top; a folder may use those after it.
    private static readonly string[] Order =
        ["Templating", "Scheduling", "Tokenization", "Execution", "KvCache", "Sampling", "Requests", "Parsing", "Models", "Layers", "Ops", "Weights", "Parallel", "Interop", "Hub"];

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

    [GeneratedRegex(@"^using (?:static )?LocalLlm\.([A-Za-z]+)", RegexOptions.Multiline)]
    private static partial Regex UsedFolder();
}
