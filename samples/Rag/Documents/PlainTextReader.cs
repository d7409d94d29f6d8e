using System.Text.RegularExpressions;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>Plain text: blank lines divide paragraphs, a line with a ruler of = or - below it is a heading.</summary>
internal static partial class PlainTextReader
{
    public static IReadOnlyList<DocumentSection> Read(string text)
    {
        var sections = new SectionBuilder();
        var paragraph = new List<string>();
        foreach (var line in text.ReplaceLineEndings("\n").Split('\n').Append(""))
        {
            var ruler = Ruler().Match(line);
            if (ruler.Success && paragraph.Count == 1)
            {
                sections.AddHeading(ruler.Value[0] == '=' ? 1 : 2, paragraph[0]);
                paragraph.Clear();
            }
            else if (ruler.Success || string.IsNullOrWhiteSpace(line) || ListItem().IsMatch(line))
            {
                sections.AddParagraph(Joined(paragraph));
                paragraph.Clear();
            }

            if (!ruler.Success && !string.IsNullOrWhiteSpace(line))
                paragraph.Add(line.Trim());
        }

        return sections.Build();
    }

    /// <summary>Lines that were wrapped: a space between two, but not between characters that are written without any.</summary>
    public static string Joined(IEnumerable<string> lines) => lines.Aggregate("", (text, line) =>
        text.Length == 0 || line.Length == 0 ? text + line : IsWideCharacter(text[^1]) && IsWideCharacter(line[0]) ? text + line : $"{text} {line}");

    private static bool IsWideCharacter(char c) => c is >= '\u3000' and <= '\u30FF' or >= '\u3400' and <= '\u9FFF' or >= '\uFF00' and <= '\uFFEF';

    [GeneratedRegex(@"^(={3,}|-{3,})\s*$")]
    private static partial Regex Ruler();

    [GeneratedRegex(@"^\s*([-*•]|\d{1,3}[.)])\s+\S")]
    private static partial Regex ListItem();
}
