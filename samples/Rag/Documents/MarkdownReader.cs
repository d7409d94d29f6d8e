using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using Markdig;
using Markdig.Extensions.Tables;
using Markdig.Extensions.Yaml;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>Markdown as text: its headings make the sections; lists, quotes, code and the rows of tables are paragraphs; HTML is text without its tags; front matter is left out.</summary>
internal static partial class MarkdownReader
{
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

        var sections = new SectionBuilder();
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
                    sections.AddHeading(heading.Level, TextOf(heading.Inline));
                    break;
                case YamlFrontMatterBlock or LinkReferenceDefinitionGroup:
                    break;
                case HtmlBlock html:
                    sections.AddParagraph(TextOf(html.Lines.ToString()));
                    break;
                case CodeBlock code:
                    sections.AddParagraph(code.Lines.ToString());
                    break;
                case Table table:
                    AddTable(table, sections);
                    break;
                case ContainerBlock inner:
                    Add(inner, sections);
                    break;
                case LeafBlock leaf:
                    sections.AddParagraph(TextOf(leaf.Inline));
                    break;
            }
        }
    }

    /// <summary>A row says nothing without the names of its columns, so each carries them.</summary>
    private static void AddTable(Table table, SectionBuilder sections)
    {
        var rows = table.OfType<TableRow>().ToArray();
        var names = rows.FirstOrDefault(row => row.IsHeader)?.Select(CellText).ToArray() ?? [];
        foreach (var row in rows.Where(row => !row.IsHeader))
        {
            var cells = row.Select((cell, column) => (Name: names.ElementAtOrDefault(column) ?? "", Text: CellText(cell))).Where(cell => cell.Text.Length > 0);
            sections.AddParagraph(string.Join("; ", cells.Select(cell => cell.Name.Length == 0 ? cell.Text : $"{cell.Name}: {cell.Text}")));
        }
    }

    private static string CellText(Block cell) =>
        cell is TableCell content ? string.Join(' ', content.OfType<LeafBlock>().Select(leaf => TextOf(leaf.Inline))).Trim() : "";

    private static string TextOf(ContainerInline? inlines)
    {
        var text = new StringBuilder();
        for (var inline = inlines?.FirstChild; inline is not null; inline = inline.NextSibling)
        {
            text.Append(inline switch
            {
                LiteralInline literal => literal.Content.ToString(),
                CodeInline code => code.Content,
                LineBreakInline => " ",
                HtmlInline { Tag: var tag } when tag.StartsWith("<br", StringComparison.OrdinalIgnoreCase) => " ",
                HtmlEntityInline entity => entity.Transcoded.ToString(),
                AutolinkInline link => link.Url,
                ContainerInline inner => TextOf(inner),
                _ => "",
            });
        }

        return text.ToString();
    }

    /// <summary>What a reader sees of HTML: neither tags nor comments, scripts and styles.</summary>
    private static string TextOf(string html) => Blanks().Replace(WebUtility.HtmlDecode(Unseen().Replace(html, " ")), " ").Trim();

    // What is not ended goes to the end; no alternative can match a text in two ways, so none takes longer than the text is long.
    [GeneratedRegex(@"<!--.*?(-->|\z)|<(script|style)\b.*?(</\2\s*>|\z)|</?[a-z][^<>]*>|<[!?][^<>]*>", RegexOptions.IgnoreCase | RegexOptions.Singleline)]
    private static partial Regex Unseen();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();
}
