using System.Text.RegularExpressions;
using Xunit;

namespace LocalLlm.Tests;

/// <summary>Words and names that docs/glossary.md has replaced and that may not come back.</summary>
public partial class GlossaryTests
{
    private static readonly string[] Folders = ["src", "samples", "tests", "bench", "docs"];

    // Records of past decisions and changes stay as they were written.
    private static readonly string[] History = ["CHANGELOG.md", Path.Combine("docs", "decisions")];

    /// <summary>A pattern, and what to write instead.</summary>
    public static TheoryData<string, string> Forbidden() => new()
    {
        { @"\b(is|are|was|were|be|been) told\b(?! apart)", "say who reports, refuses or writes what" },
        { @"\b[a-z]+s that there (are|were)\b", "the known, allowed or existing ones" },
        { @"\b_?(Most|most)[A-Z]\w*|\b\w*[a-z]Most[A-Z]\w*", "Max" },
        { @"\b_?(Least|least)[A-Z]\w*|\b\w*[a-z]Least[A-Z]\w*", "Min" },
        { @"<summary>Makes\b", "Creates" },
        { @"\b(EncoderWorker|LaunchedStep|AnswerReader|ChatAnswer|AnswerParser|ThinkingSplitter|ISequenceObserver)\b", "the names of today's architecture page" },
        { @"\b[Kk]ey words?\b", "keyword" },
        { @"\btakes? no notice\b", "ignores" },
        { @"\bkept to\b|_kept_to\b", "enforced, respected" },
        { @"_(is|are|was|were)_told\b(?!_apart)", "reported" },
        { @"\b(is|are) no numbers?\b|\bthat (is|are) none\b", "not a number, not finite, invalid" },
        { @"\b(is|it is) felt\b|\bwho reads along\b|\b(Pulse|LastWord)\b(?!\()", "who does what" },
        { @"\bwaits? for ever\b", "waits forever, or: no caller waits" },
    };

    [Theory]
    [MemberData(nameof(Forbidden))]
    public void A_word_that_the_glossary_replaced_does_not_come_back(string pattern, string instead)
    {
        var found = Files().SelectMany(file => File.ReadLines(file).Select((text, index) => (Line: $"{Path.GetRelativePath(TestPaths.Repository, file)}:{index + 1}", Text: text)))
            .Where(line => Regex.IsMatch(line.Text, pattern) && !Framework().IsMatch(line.Text))
            .Select(line => $"{line.Line}: {line.Text.Trim()}");
        Assert.True(!found.Any(), $"write: {instead}\n{string.Join('\n', found)}");
    }

    private static IEnumerable<string> Files() => Folders
        .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(TestPaths.Repository, folder), "*", SearchOption.AllDirectories))
        .Append(Path.Combine(TestPaths.Repository, "README.md"))
        .Where(file => Path.GetExtension(file) is ".cs" or ".md" && !IsLeftOut(Path.GetRelativePath(TestPaths.Repository, file)));

    private static bool IsLeftOut(string file) =>
        file.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj") || History.Any(file.StartsWith) || file.EndsWith("GlossaryTests.cs", StringComparison.Ordinal) || file == Path.Combine("docs", "glossary.md");

    // Names that are not ours.
    [GeneratedRegex("TrailingZeroCount|LeastSignificant|MostSignificant|MostCommon|AtLeast")]
    private static partial Regex Framework();
}
