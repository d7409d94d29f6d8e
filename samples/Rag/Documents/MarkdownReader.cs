using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using Markdig;
using Markdig.Extensions.Tables;
using Markdig.Extensions.Yaml;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>
/// Reads Markdown as text. Its headings make the sections; lists, quotes, code and table rows become paragraphs; HTML is read without its
/// tags; front matter is left out.
/// </summary>
internal static partial class MarkdownReader
{
    private const int LowestHeading = 7;
    private static readonly MarkdownPipeline s_pipeline = new MarkdownPipelineBuilder().UsePipeTables().UseYamlFrontMatter().Build();

    public static IReadOnlyList<DocumentSection> Read(string markdown)
    {
        MarkdownDocument document;
        try
        {
            document = Markdown.Parse(markdown, s_pipeline);
        }
        catch (ArgumentException failure)
        {
            // Markdig's own limit on nesting.
            throw new RagException($"its Markdown cannot be read: {failure.Message}", failure);
        }

        var sections = new SectionBuilder(PlaceUnit.Line);
        Add(document, sections);
        return sections.Build();
    }

    private static void Add(ContainerBlock container, SectionBuilder sections)
    {
        foreach (var block in container)
        {
            switch (block)
            {
                case HeadingBlock heading:
                    sections.AddHeading(heading.Level, TextOf(heading.Inline), heading.Line + 1);
                    break;
                case YamlFrontMatterBlock or LinkReferenceDefinitionGroup:
                    break;
                case HtmlBlock html:
                    AddLines(Visible(html.Lines.ToString()).Split('\n').Select(line => Blanks().Replace(line, " ").Trim()), html.Line + 1, ' ', sections);
                    break;
                case CodeBlock code:
                    AddLines(code.Lines.ToString().Split('\n'), code.Line + (code is FencedCodeBlock ? 2 : 1), '\n', sections);
                    break;
                case Table table:
                    AddTable(table, sections);
                    break;
                case ListItemBlock item when TitleOf(item) is { } title:
                    // An inner list is about the item above it, so that item acts as its heading.
                    var level = LowestHeading + DepthOf(item);
                    sections.AddHeading(level, title, item.Line + 1);
                    foreach (var list in item.Skip(1).OfType<ContainerBlock>())
                        Add(list, sections);
                    sections.EndHeading(level);
                    break;
                case ContainerBlock inner:
                    Add(inner, sections);
                    break;
                case LeafBlock leaf:
                    var starts = new List<PlaceStart> { new(0, leaf.Line + 1) };
                    sections.AddParagraph(TextOf(leaf.Inline, starts), starts);
                    break;
            }
        }
    }

    /// <summary>The text of an item that only names what its inner lists say; null: the item says something itself, or has other
    /// parts.</summary>
    private static string? TitleOf(ListItemBlock item)
    {
        if (item.Count < 2 || item[0] is not ParagraphBlock paragraph || !item.Skip(1).All(block => block is ListBlock))
            return null;
        var text = TextOf(paragraph.Inline).Trim().TrimEnd(':', '：');
        return text.Length > 0 && !text.Contains(": ", StringComparison.Ordinal) && !text.Contains('：', StringComparison.Ordinal) && text[^1] is not ('.' or '!' or '?' or '。' or '！' or '？') ? text : null;
    }

    private static int DepthOf(Block block)
    {
        var depth = 0;
        for (var above = block.Parent; above is not null; above = above.Parent)
            depth += above is ListItemBlock ? 1 : 0;
        return depth;
    }

    private static void AddLines(IEnumerable<string> lines, int first, char between, SectionBuilder sections)
    {
        var text = new StringBuilder();
        var starts = new List<PlaceStart>();
        foreach (var (line, index) in lines.Select((line, index) => (line, index)).Where(line => between == '\n' || line.line.Length > 0))
        {
            if (text.Length > 0)
                text.Append(between);
            starts.Add(new(text.Length, first + index));
            text.Append(line);
        }

        sections.AddParagraph(text.ToString(), starts);
    }

    /// <summary>Adds each row with the names of its columns, without which it says nothing.</summary>
    private static void AddTable(Table table, SectionBuilder sections)
    {
        var rows = table.OfType<TableRow>().ToArray();
        var names = rows.FirstOrDefault(row => row.IsHeader)?.Select(CellText).ToArray() ?? [];
        foreach (var row in rows.Where(row => !row.IsHeader))
        {
            var cells = row.Select((cell, column) => (Name: names.ElementAtOrDefault(column) ?? "", Text: CellText(cell))).Where(cell => cell.Text.Length > 0);
            sections.AddParagraph(string.Join("; ", cells.Select(cell => cell.Name.Length == 0 ? cell.Text : $"{cell.Name}: {cell.Text}")), new PlaceStart(0, row.Line + 1));
        }
    }

    private static string CellText(Block cell) =>
        cell is TableCell content ? string.Join(' ', content.OfType<LeafBlock>().Select(leaf => TextOf(leaf.Inline))).Trim() : "";

    /// <param name="inlines">The content of a block.</param>
    /// <param name="starts">The line on which the text begins; the starts of further lines are added.</param>
    private static string TextOf(ContainerInline? inlines, List<PlaceStart>? starts = null)
    {
        var text = new StringBuilder();
        Append(inlines, text, starts);
        return text.ToString();
    }

    private static void Append(ContainerInline? inlines, StringBuilder text, List<PlaceStart>? starts)
    {
        for (var inline = inlines?.FirstChild; inline is not null; inline = inline.NextSibling)
        {
            if (inline is ContainerInline inner)
            {
                Append(inner, text, starts);
                continue;
            }

            text.Append(inline switch
            {
                LiteralInline literal => literal.Content.ToString(),
                CodeInline code => code.Content,
                LineBreakInline => " ",
                HtmlInline { Tag: var tag } when tag.StartsWith("<br", StringComparison.OrdinalIgnoreCase) => " ",
                HtmlEntityInline entity => entity.Transcoded.ToString(),
                AutolinkInline link => link.Url,
                _ => "",
            });
            if (inline is LineBreakInline)
                starts?.Add(new(text.Length, starts[^1].Number + 1));
        }
    }

    /// <summary>The visible text of HTML, without tags, comments, scripts and styles. Line breaks are kept.</summary>
    private static string Visible(string html) => WebUtility.HtmlDecode(Unseen().Replace(html, match => match.Value.Contains('\n') ? new string('\n', match.Value.Count(c => c == '\n')) : " "));

    // An element that is not closed extends to the end. No alternative can match a text in two ways, so matching takes linear time.
    [GeneratedRegex(@"<!--.*?(-->|\z)|<(script|style)\b.*?(</\2\s*>|\z)|</?[a-z][^<>]*>|<[!?][^<>]*>", RegexOptions.IgnoreCase | RegexOptions.Singleline)]
    private static partial Regex Unseen();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();
}
