using System.Globalization;
using UglyToad.PdfPig;
using UglyToad.PdfPig.Content;
using UglyToad.PdfPig.Exceptions;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>The text of a PDF. Lines that are set larger than most are headings; a wider gap between lines divides paragraphs.</summary>
internal static class PdfReader
{
    private const double HeadingScale = 1.15;
    private const double ParagraphGap = 1.7;

    /// <param name="bytes">The file.</param>
    /// <param name="maxPages">A longer document is refused.</param>
    /// <param name="cancellationToken">Asked between two pages.</param>
    public static IReadOnlyList<DocumentSection> Read(byte[] bytes, int maxPages, CancellationToken cancellationToken)
    {
        try
        {
            using var document = PdfDocument.Open(bytes);
            if (document.NumberOfPages > maxPages)
                throw new RagException($"it has {document.NumberOfPages} pages; allowed: {maxPages} (Rag:Documents:MaxPdfPages). Split it, or raise the limit.");
            var lines = new List<PdfLine>();
            foreach (var page in document.GetPages())
            {
                cancellationToken.ThrowIfCancellationRequested();
                lines.AddRange(LinesOf(page));
            }

            if (lines.Count == 0)
                throw new RagException("its pages hold no text, perhaps only pictures of it. Run it through text recognition (such as ocrmypdf) first.");
            return Sections(PdfRunningLines.Without(lines));
        }
        catch (PdfDocumentEncryptedException failure)
        {
            throw new RagException("it is encrypted. Save it without a password.", failure);
        }
        catch (Exception failure) when (failure is not (RagException or OperationCanceledException))
        {
            // A damaged or hostile file may fail a parser in any way; it must not take the other documents along.
            throw new RagException($"it cannot be read as PDF ({failure.GetType().Name}: {failure.Message}). Open and save it again with another program.", failure);
        }
    }

    private static IEnumerable<PdfLine> LinesOf(Page page)
    {
        PdfLine? line = null;
        foreach (var word in page.GetWords().Where(word => !string.IsNullOrWhiteSpace(word.Text)))
        {
            var (bottom, height) = (word.Letters[0].StartBaseLine.Y, word.Letters.Max(letter => letter.PointSize));
            // The same line: the baseline has hardly moved, and the text goes on to the right.
            if (line is not null && Math.Abs(line.Baseline - bottom) < 0.5 * Math.Min(line.Size, height) && word.BoundingBox.Left >= line.Right - height)
            {
                line = line with { Text = $"{line.Text} {word.Text}", Right = word.BoundingBox.Right, Size = Math.Max(line.Size, height) };
                continue;
            }

            if (line is not null)
                yield return line;
            line = new(page.Number, word.Text, bottom, word.BoundingBox.Right, height);
        }

        if (line is not null)
            yield return line;
    }

    private static IReadOnlyList<DocumentSection> Sections(List<PdfLine> lines)
    {
        // Most letters are body text.
        var body = lines.GroupBy(line => Math.Round(line.Size, 1)).MaxBy(size => size.Sum(line => line.Text.Length))!.Key;
        var levels = lines.Select(line => Math.Round(line.Size, 1)).Where(size => size > body * HeadingScale).Distinct().OrderDescending().ToList();
        var sections = new SectionBuilder(PlaceUnit.Page);
        var paragraph = new List<PdfLine>();
        var title = new List<PdfLine>();
        var edges = lines.GroupBy(line => line.Page).ToDictionary(page => page.Key, page => (Low: page.Min(line => line.Baseline), High: page.Max(line => line.Baseline)));
        foreach (var line in lines.Where(line => !IsPageNumber(line, body, edges[line.Page])))
        {
            var level = levels.IndexOf(Math.Round(line.Size, 1)) + 1;
            var isContinued = paragraph.Count > 0 && paragraph[^1].Page == line.Page && paragraph[^1].Baseline - line.Baseline < ParagraphGap * body;
            // A paragraph that ends in the middle of a sentence goes on after the page break.
            isContinued |= paragraph.Count > 0 && paragraph[^1].Page != line.Page && !EndsSentence(paragraph[^1].Text);
            if (level > 0 || !isContinued)
                EndParagraph();
            // A title that is too long for a line goes on in the next one.
            if (title.Count > 0 && (level == 0 || Math.Round(line.Size, 1) != Math.Round(title[^1].Size, 1) || line.Page != title[^1].Page || Math.Abs(title[^1].Baseline - line.Baseline) >= ParagraphGap * line.Size))
                EndTitle();
            (level > 0 ? title : paragraph).Add(line);
        }

        EndTitle();
        EndParagraph();
        return sections.Build();

        void EndParagraph()
        {
            if (paragraph.Count > 0)
                sections.AddParagraph(Joined(paragraph.Select(line => line.Text)), [.. PagesOf(paragraph)]);
            paragraph.Clear();
        }

        void EndTitle()
        {
            if (title.Count > 0)
                sections.AddHeading(levels.IndexOf(Math.Round(title[0].Size, 1)) + 1, Joined(title.Select(line => line.Text)), title[0].Page);
            title.Clear();
        }
    }

    private static IEnumerable<PlaceStart> PagesOf(List<PdfLine> paragraph)
    {
        yield return new(0, paragraph[0].Page);
        for (var index = 1; index < paragraph.Count; index++)
        {
            // A word that is divided between two pages stands on the first.
            if (paragraph[index].Page != paragraph[index - 1].Page)
                yield return new(Joined(paragraph.Take(index).Select(line => line.Text)).Length, paragraph[index].Page);
        }
    }

    // At the upper or the lower edge: anywhere else the same number is text.
    private static bool IsPageNumber(PdfLine line, double body, (double Low, double High) edges) => (line.Baseline == edges.Low || line.Baseline == edges.High) && line.Size <= body && int.TryParse(line.Text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number == line.Page;

    private static bool EndsSentence(string text) => text.Length > 0 && ".!?。！？:：".Contains(text[^1]);

    /// <summary>As wrapped lines, and a word that was divided at the end of a line is whole again.</summary>
    private static string Joined(IEnumerable<string> lines)
    {
        var joined = new List<string>();
        foreach (var line in lines)
        {
            if (joined.Count > 0 && joined[^1].Length > 1 && joined[^1][^1] is '-' or '\u00AD' && char.IsLower(joined[^1][^2]) && char.IsLower(line[0]))
                joined[^1] = joined[^1][..^1] + line;
            else
                joined.Add(line);
        }

        return PlainTextReader.Joined(joined);
    }

}

/// <summary>A line of a page.</summary>
/// <param name="Page">From 1.</param>
/// <param name="Text">Its words, with a space between two.</param>
/// <param name="Baseline">Its height on the page, in points from below.</param>
/// <param name="Right">Where it ends, in points.</param>
/// <param name="Size">The largest letter, in points.</param>
internal sealed record PdfLine(int Page, string Text, double Baseline, double Right, double Size);
