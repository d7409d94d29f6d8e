using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Documents;

namespace LocalLlm.Samples.Rag.Chunking;

/// <summary>
/// Cuts sections into passages: whole sentences up to a budget of tokens. The last sentences of a passage are repeated at the start of the
/// next one. A sentence beyond the budget is cut between words, a word beyond it between characters.
/// </summary>
/// <param name="count">Counts the tokens of a text.</param>
/// <param name="options">The budget, which includes headings that are embedded.</param>
internal sealed class Chunker(Func<string, int> count, ChunkingOptions options)
{
    // In characters.
    private const int FirstReach = 256;

    /// <summary>The passages of a document, numbered over all its sections.</summary>
    public IReadOnlyList<Passage> Split(SourceDocument document)
    {
        var passages = new List<Passage>();
        foreach (var section in document.Sections)
        {
            // A heading that would leave little room for text is shown, but not embedded.
            var isHeadingEmbedded = options.EmbedHeadings && section.Heading.Length > 0 && count(section.Heading) <= options.MaxTokens / 2;
            foreach (var range in Ranges(section.Text, isHeadingEmbedded ? section.Heading : "").Where(range => !string.IsNullOrWhiteSpace(section.Text[range])))
            {
                var first = range.Start.Value + section.Text[range].TakeWhile(char.IsWhiteSpace).Count();
                var text = section.Text[range].Trim();
                passages.Add(new(document.Name, passages.Count, section.Heading, section.Places?.Slice(first, text.Length), text) { IsHeadingEmbedded = isHeadingEmbedded });
            }
        }

        return passages;
    }

    /// <summary>Ranges of passages. Together they hold the whole text; each has at least one sentence that the one before does not
    /// have.</summary>
    internal IEnumerable<Range> Ranges(string text, string heading)
    {
        var pieces = SentenceSplitter.Split(text).SelectMany(sentence => Pieces(text, sentence, heading)).ToArray();
        for (var (first, fresh) = (0, 0); fresh < pieces.Length;)
        {
            var next = fresh + 1;
            // Repeated sentences must leave room for the next one.
            while (first < fresh && !Fits(text, pieces[first].Start, pieces[fresh].End, heading))
                first++;
            while (next < pieces.Length && Fits(text, pieces[first].Start, pieces[next].End, heading))
                next++;
            yield return pieces[first].Start..pieces[next - 1].End;
            first = fresh = next;
            while (first > 0 && count(text[pieces[first - 1].Start..pieces[fresh - 1].End]) <= options.OverlapTokens)
                first--;
        }
    }

    private IEnumerable<Range> Pieces(string text, Range sentence, string heading)
    {
        var (start, end) = (sentence.Start.Value, sentence.End.Value);
        while (start < end)
        {
            var cut = Cut(text, start, end, heading);
            yield return start..cut;
            start = cut;
        }
    }

    /// <summary>The end of the longest beginning that fits, at a space if it contains one.</summary>
    private int Cut(string text, int start, int end, string heading)
    {
        // The reach doubles each time, so the work for a sentence without an end grows only with its length.
        var reach = Math.Min(end, start + FirstReach);
        while (Fits(text, start, reach, heading))
        {
            if (reach == end)
                return end;
            reach = Math.Min(end, start + (2 * (reach - start)));
        }

        var (cut, tooFar) = (AfterCharacter(text, start), reach);
        while (tooFar - cut > 1)
        {
            var middle = (cut + tooFar) / 2;
            if (char.IsLowSurrogate(text[middle]))
                middle--;
            // Only one character of two UTF-16 code units is left.
            if (middle == cut)
                break;
            if (Fits(text, start, middle, heading))
                cut = middle;
            else
                tooFar = middle;
        }

        var space = text.LastIndexOf(' ', cut - 1, cut - start);
        return space > start ? space + 1 : cut;
    }

    private static int AfterCharacter(string text, int start) => start + (start + 1 < text.Length && char.IsSurrogatePair(text, start) ? 2 : 1);

    private bool Fits(string text, Index start, Index end, string heading) => count(Passage.TextToEmbed(heading, text[start..end].Trim())) <= options.MaxTokens;
}
