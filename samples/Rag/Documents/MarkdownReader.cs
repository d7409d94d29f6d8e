using System.Text;
using Markdig;
using Markdig.Extensions.Tables;
using Markdig.Extensions.Yaml;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>Markdown as text: its headings make the sections; lists, quotes, code and the rows of tables are paragraphs; HTML and front matter are left out.</summary>
internal static class MarkdownReader
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
                case YamlFrontMatterBlock or HtmlBlock or LinkReferenceDefinitionGroup:
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
                HtmlEntityInline entity => entity.Transcoded.ToString(),
                AutolinkInline link => link.Url,
                ContainerInline inner => TextOf(inner),
                _ => "",
            });
        }

        return text.ToString();
    }
}
