using System.Text.RegularExpressions;
using System.Xml.Linq;
using Xunit;

namespace LocalLlm.Tests;

/// <summary>Keeps the order of the engine's folders that docs/architecture.md draws.</summary>
public partial class ArchitectureTests
{
    // From top to bottom; a folder may use the folders after it.
    private static readonly string[] Order =
        ["Templating", "Scheduling", "Tokenization", "Execution", "KvCache", "Planning", "Sampling", "Requests", "Parsing", "Models", "Layers", "Ops", "Weights", "Parallel", "Interop", "Hub"];

    // The standalone libraries, and which of the other libraries each of them may use.
    private static readonly Dictionary<string, string[]> Libraries = new() { ["Primitives"] = [], ["Jinja"] = [], ["Tokenizers"] = ["Primitives"], ["Grammars"] = ["Primitives"] };

    // Plain data (options, outputs, measurements) and the errors that every part of the engine may throw.
    private static readonly HashSet<string> PlainRootTypes =
    [
        nameof(EmbeddingKinds),
        nameof(EmbeddingMetrics),
        nameof(EmbeddingStatistics),
        nameof(EngineErrorKind),
        nameof(EngineException),
        nameof(EngineMetrics),
        nameof(EngineOptions),
        nameof(EngineOptionsDefaults),
        nameof(EngineStatistics),
        nameof(EnvironmentCheck),
        nameof(EnvironmentCheckStatus),
        nameof(ExpertBalancingOptions),
        nameof(FinishReason),
        nameof(GenerationOutput),
        nameof(GuardedLogger),
        nameof(INodeChannel),
        nameof(INodeTransport),
        nameof(LoadProgress),
        nameof(MemoryPlan),
        nameof(SamplingParams),
        nameof(SchedulingPolicy),
        nameof(SpeculationOptions),
        nameof(SpeculationStatistics),
        nameof(StructuredOutputs),
        nameof(TextEmbedding),
        nameof(TokenLogprob),
        nameof(TokenLogprobs),
        nameof(TokenUsage),
        nameof(ToolChoice),
    ];

    private static readonly string Engine = Path.Combine(TestPaths.Repository, "src", "Engine");

    [Fact]
    public void Every_folder_has_a_place_in_the_order()
    {
        var folders = Directory.EnumerateDirectories(Engine).Select(Path.GetFileName).Where(name => name is not ("bin" or "obj"));
        Assert.Equal(Order.Order(), folders.Order());
    }

    [Fact]
    public void No_file_of_code_has_more_than_400_lines()
    {
        string[] folders = ["src", "tests", "samples", "bench"];
        var files = folders.SelectMany(folder => Directory.EnumerateFiles(Path.Combine(TestPaths.Repository, folder), "*", SearchOption.AllDirectories))
            .Where(file => Path.GetExtension(file) is ".cs" or ".cu" or ".js" or ".py" && !file.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj" or "node_modules"));
        Assert.Empty(files.Where(file => File.ReadLines(file).Count() > 400).Select(file => Path.GetRelativePath(TestPaths.Repository, file)));
    }

    [Fact]
    public void No_comment_is_wider_than_140_columns()
    {
        string[] folders = ["src", "tests", "samples", "bench"];
        var files = folders.SelectMany(folder => Directory.EnumerateFiles(Path.Combine(TestPaths.Repository, folder), "*.cs", SearchOption.AllDirectories))
            .Where(file => !file.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj" or "node_modules"));
        // An inheritdoc names a signature, which cannot be wrapped.
        Assert.Empty(files.SelectMany(file => File.ReadLines(file)
            .Where(line => line.Length > 140 && line.TrimStart().StartsWith("//", StringComparison.Ordinal) && !line.Contains("<inheritdoc", StringComparison.Ordinal))
            .Select(line => $"{Path.GetRelativePath(TestPaths.Repository, file)}: {line.Trim()}")));
    }

    [Fact]
    public void Every_folder_has_tests_of_the_same_name()
    {
        var tests = Path.Combine(TestPaths.Repository, "tests", "Engine.Tests");
        Assert.All(Order, folder => Assert.True(Directory.Exists(Path.Combine(tests, folder)), folder));
    }

    [Fact]
    public void A_folder_uses_only_those_below_it()
    {
        var violations = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var (user, used) in TypeUses.Of(typeof(LlmEngine).Assembly.Location))
        {
            var place = Array.IndexOf(Order, user.Folder);
            if (place >= 0 && Array.IndexOf(Order, used.Folder) is >= 0 and var below && below < place)
                violations.Add($"{user.Folder}/{user.Name} uses {used.Folder}/{used.Name}");
        }

        Assert.True(violations.Count == 0, string.Join(Environment.NewLine, violations));
    }

    [Fact]
    public void A_folder_uses_only_the_plain_types_of_the_root()
    {
        var violations = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var (user, used) in TypeUses.Of(typeof(LlmEngine).Assembly.Location))
        {
            if (user.Folder.Length > 0 && used.Folder.Length == 0 && !PlainRootTypes.Contains(used.Name))
                violations.Add($"{user.Folder}/{user.Name} uses {used.Name}");
        }

        Assert.True(violations.Count == 0, string.Join(Environment.NewLine, violations));
    }

    [Fact]
    public void Every_folder_is_named_in_the_architecture_page()
    {
        var page = File.ReadAllText(Path.Combine(TestPaths.Repository, "docs", "architecture.md"));
        Assert.All(Order, folder => Assert.Contains($"| `{folder}` |", page, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_file_that_a_step_of_a_request_names_is_there()
    {
        var page = File.ReadAllText(Path.Combine(TestPaths.Repository, "docs", "architecture.md"));
        var section = page[page.IndexOf("## One request\n", StringComparison.Ordinal)..page.IndexOf("## One request over HTTP", StringComparison.Ordinal)];
        var files = Directory.EnumerateFiles(Path.Combine(TestPaths.Repository, "src"), "*.cs", SearchOption.AllDirectories)
            .Concat(Directory.EnumerateFiles(Path.Combine(TestPaths.Repository, "tests"), "*.cs", SearchOption.AllDirectories)).Select(Path.GetFileName).ToHashSet();
        var missing = QuotedName().Matches(section).Select(match => match.Groups[1].Value).Where(name => name != "Models").Where(name => !files.Contains(name.EndsWith(".cs", StringComparison.Ordinal) ? name : name.Split('.')[0] + ".cs"));
        Assert.Empty(missing);
    }

    [Fact]
    public void Only_models_know_families()
    {
        string[] folders = ["Execution", "KvCache", "Layers", "Ops", "Scheduling", "Weights"];
        var files = folders.SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Engine, folder), "*", SearchOption.AllDirectories));
        var named = files.Select(file => (Name: Path.GetRelativePath(Engine, file), Text: File.ReadAllText(file)))
            .SelectMany(file => FamilyName().Matches(file.Name + file.Text).Select(match => $"{file.Name}: {match.Value}"));
        Assert.Empty(named);
    }

    [Fact]
    public void A_family_is_one_folder_and_one_line_of_the_registry()
    {
        var models = Path.Combine(Engine, "Models");
        var registry = File.ReadAllText(Path.Combine(models, "ModelRegistry.cs"));
        var families = Directory.EnumerateFiles(models, "*Family.cs", SearchOption.AllDirectories)
            .Where(file => Path.GetDirectoryName(file) != models).ToArray();
        Assert.NotEmpty(families);
        Assert.All(families, file =>
        {
            var name = Path.GetFileNameWithoutExtension(file);
            Assert.Equal(name, Path.GetFileName(Path.GetDirectoryName(file)) + "Family");
            Assert.Single(Regex.Matches(registry, $@"\b{name}\.Family\b"));
        });
    }

    [GeneratedRegex("`([A-Z][A-Za-z]+(?:\\.[A-Za-z]+)*)`")]
    private static partial Regex QuotedName();

    [GeneratedRegex(@"llama|qwen|mistral|roberta|deepseek|bge|\bR1\b|\bbert\b(?!_)", RegexOptions.IgnoreCase)]
    private static partial Regex FamilyName();

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
}
