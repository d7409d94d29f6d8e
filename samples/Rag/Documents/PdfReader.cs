using System.Globalization;
using UglyToad.PdfPig;
using UglyToad.PdfPig.Content;
using UglyToad.PdfPig.Exceptions;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>Reads the text of a PDF. Lines in a larger size than most are headings; a wider gap between lines divides paragraphs.</summary>
internal static class PdfReader
{
    private const double HeadingScale = 1.15;
    private const double ParagraphGap = 1.7;

    /// <param name="bytes">The file.</param>
    /// <param name="maxPages">Longer documents are refused.</param>
    /// <param name="cancellationToken">Checked between pages.</param>
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
                throw new RagException("its pages have no text, perhaps only scanned images. Run OCR on it (such as ocrmypdf) first.");
            return Sections(PdfRunningLines.Without(lines));
        }
        catch (PdfDocumentEncryptedException failure)
        {
            throw new RagException("it is encrypted. Save it without a password.", failure);
        }
        catch (Exception failure) when (failure is not (RagException or OperationCanceledException))
        {
            // A damaged or hostile file may make a parser fail in any way; the other documents must still be read.
            throw new RagException($"it cannot be read as PDF ({failure.GetType().Name}: {failure.Message}). Open and save it again with another program.", failure);
        }
    }

    private static IEnumerable<PdfLine> LinesOf(Page page)
    {
        PdfLine? line = null;
        foreach (var word in page.GetWords().Where(word => !string.IsNullOrWhiteSpace(word.Text)))
        {
            var (bottom, height) = (word.Letters[0].StartBaseLine.Y, word.Letters.Max(letter => letter.PointSize));
            // The same line: the baseline has hardly moved, and the text continues to the right.
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
            // A paragraph that is in the middle of a sentence at the page break continues on the next page.
            isContinued |= paragraph.Count > 0 && paragraph[^1].Page != line.Page && !EndsSentence(paragraph[^1].Text);
            if (level > 0 || !isContinued)
                EndParagraph();
            // A title that is too long for one line continues on the next.
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
            // A word that is divided between two pages counts as on the first.
            if (paragraph[index].Page != paragraph[index - 1].Page)
                yield return new(Joined(paragraph.Take(index).Select(line => line.Text)).Length, paragraph[index].Page);
        }
    }

    // Only at the upper or lower edge; elsewhere the same number is text.
    private static bool IsPageNumber(PdfLine line, double body, (double Low, double High) edges) => (line.Baseline == edges.Low || line.Baseline == edges.High) && line.Size <= body && int.TryParse(line.Text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number == line.Page;

    private static bool EndsSentence(string text) => text.Length > 0 && ".!?。！？:：".Contains(text[^1]);

    /// <summary>Joins wrapped lines; a word that was divided at the end of a line becomes whole again.</summary>
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
/// <param name="Text">Its words, separated by spaces.</param>
/// <param name="Baseline">The height of its baseline, in points from the bottom of the page.</param>
/// <param name="Right">Its right end, in points.</param>
/// <param name="Size">The size of its largest letter, in points.</param>
internal sealed record PdfLine(int Page, string Text, double Baseline, double Right, double Size);
