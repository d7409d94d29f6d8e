using System.Globalization;
using System.Text.RegularExpressions;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>Finds running headers and footers: lines at the upper or lower edge that are the same on most pages, except for the page
/// number. They are not part of the text, and would divide a sentence that continues on the next page.</summary>
internal static class PdfRunningLines
{
    // A header and a footer may have several lines.
    private const int MaxLines = 3;

    /// <summary>The lines without running ones; a repeated title stays at its first place.</summary>
    public static List<PdfLine> Without(List<PdfLine> lines)
    {
        for (var round = 0; round < MaxLines; round++)
        {
            var pages = lines.GroupBy(line => line.Page).ToArray();
            var running = pages.SelectMany(EdgesOf).GroupBy(edge => (edge.IsUpper, edge.Text)).Where(same => same.Count() > 1 && 2 * same.Count() > pages.Length).ToArray();
            var gone = running.SelectMany(same => same.OrderBy(edge => edge.Line.Page).Skip(IsTitle(same.First().Line, lines) ? 1 : 0)).Select(edge => edge.Line).ToHashSet();
            if (gone.Count == 0 || gone.Count == lines.Count)
                return lines;
            lines = [.. lines.Where(line => !gone.Contains(line))];
        }

        return lines;
    }

    private static IEnumerable<(bool IsUpper, string Text, PdfLine Line)> EdgesOf(IGrouping<int, PdfLine> page)
    {
        var (upper, lower) = (page.MaxBy(line => line.Baseline)!, page.MinBy(line => line.Baseline)!);
        // A page of one line has no edge lines.
        if (upper == lower)
            yield break;
        yield return (true, WithoutPage(upper), upper);
        yield return (false, WithoutPage(lower), lower);
    }

    private static string WithoutPage(PdfLine line) => new Regex($@"(?<!\d){line.Page.ToString(CultureInfo.InvariantCulture)}(?!\d)").Replace(line.Text, "#", 1);

    private static bool IsTitle(PdfLine line, List<PdfLine> lines) => line.Size > lines.GroupBy(other => Math.Round(other.Size, 1)).MaxBy(size => size.Sum(other => other.Text.Length))!.Key + 0.1;
}
