using System.Text.RegularExpressions;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>Reads plain text: blank lines divide paragraphs; a line that is underlined by = or - is a heading.</summary>
internal static partial class PlainTextReader
{
    public static IReadOnlyList<DocumentSection> Read(string text)
    {
        var sections = new SectionBuilder(PlaceUnit.Line);
        var paragraph = new List<string>();
        var number = 0;
        foreach (var line in text.ReplaceLineEndings("\n").Split('\n').Append(""))
        {
            number++;
            var ruler = Ruler().Match(line);
            if (ruler.Success && paragraph.Count == 1)
            {
                sections.AddHeading(ruler.Value[0] == '=' ? 1 : 2, paragraph[0], number - 1);
                paragraph.Clear();
            }
            else if (ruler.Success || string.IsNullOrWhiteSpace(line) || ListItem().IsMatch(line))
            {
                sections.AddParagraph(Joined(paragraph), StartsOf(paragraph, number - paragraph.Count));
                paragraph.Clear();
            }

            if (!ruler.Success && !string.IsNullOrWhiteSpace(line))
                paragraph.Add(line.Trim());
        }

        return sections.Build();
    }

    /// <summary>Where each line begins in the text that <see cref="Joined"/> returns for them.</summary>
    /// <param name="lines">The lines, none of them blank.</param>
    /// <param name="first">The number of the first line.</param>
    private static PlaceStart[] StartsOf(List<string> lines, int first)
    {
        var starts = new PlaceStart[lines.Count];
        for (var (index, text) = (0, ""); index < lines.Count; index++)
        {
            text = Joined([text, lines[index]]);
            starts[index] = new(text.Length - lines[index].Length, first + index);
        }

        return starts;
    }

    /// <summary>Joins wrapped lines with a space, but without one between characters of scripts that use no spaces.</summary>
    public static string Joined(IEnumerable<string> lines) => lines.Aggregate("", (text, line) =>
        text.Length == 0 || line.Length == 0 ? text + line : IsWideCharacter(text[^1]) && IsWideCharacter(line[0]) ? text + line : $"{text} {line}");

    private static bool IsWideCharacter(char c) => c is >= '\u3000' and <= '\u30FF' or >= '\u3400' and <= '\u9FFF' or >= '\uFF00' and <= '\uFFEF';

    [GeneratedRegex(@"^(={3,}|-{3,})\s*$")]
    private static partial Regex Ruler();

    [GeneratedRegex(@"^\s*([-*•]|\d{1,3}[.)])\s+\S")]
    private static partial Regex ListItem();
}
