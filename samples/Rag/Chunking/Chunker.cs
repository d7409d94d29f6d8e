using System.Globalization;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Documents;

namespace LocalLlm.Samples.Rag.Chunking;

/// <summary>
/// Cuts sections into passages: whole sentences up to a budget of tokens, the last ones said again at the start of the next passage. A sentence beyond the budget is cut between words, a word beyond it between characters.
/// </summary>
/// <param name="count">Tokens of a text.</param>
/// <param name="options">The budget, headings included where they are embedded.</param>
internal sealed class Chunker(Func<string, int> count, ChunkingOptions options)
{
    /// <summary>The passages of a document, numbered through.</summary>
    public IReadOnlyList<Passage> Split(SourceDocument document)
    {
        var passages = new List<Passage>();
        foreach (var section in document.Sections)
        {
            // A heading that would leave little room for text is shown, but not embedded.
            var isHeadingEmbedded = options.EmbedHeadings && section.Heading.Length > 0 && count(section.Heading) <= options.MaxTokens / 2;
            foreach (var range in Ranges(section.Text, isHeadingEmbedded ? section.Heading : ""))
                passages.Add(new(document.Name, passages.Count, section.Heading, section.Page, section.Text[range].Trim()) { IsHeadingEmbedded = isHeadingEmbedded });
        }

        return passages;
    }

    /// <summary>Ranges of passages; together they hold all of the text, each a sentence at least that the one before has not.</summary>
    internal IEnumerable<Range> Ranges(string text, string heading)
    {
        var pieces = SentenceSplitter.Split(text).SelectMany(sentence => Pieces(text, sentence, heading)).ToArray();
        for (var (first, fresh) = (0, 0); fresh < pieces.Length;)
        {
            var next = fresh + 1;
            // What is said again must leave room for the next sentence.
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
        while (start < end && !Fits(text, start, end, heading))
        {
            var cut = Cut(text, start, end, heading);
            yield return start..cut;
            start = cut;
        }

        if (start < end)
            yield return start..end;
    }

    /// <summary>The longest beginning that fits; it ends at a space where it has one.</summary>
    private int Cut(string text, int start, int end, string heading)
    {
        var elements = StringInfo.ParseCombiningCharacters(text[start..end]);
        var (fits, tooMany) = (1, elements.Length);
        while (tooMany - fits > 1)
        {
            var middle = (fits + tooMany) / 2;
            if (Fits(text, start, start + elements[middle], heading))
                fits = middle;
            else
                tooMany = middle;
        }

        var cut = elements.Length == 1 ? end : start + elements[fits];
        var space = text.LastIndexOf(' ', cut - 1, cut - start);
        return space > start ? space + 1 : cut;
    }

    private bool Fits(string text, Index start, Index end, string heading) => count(Passage.TextToEmbed(heading, text[start..end].Trim())) <= options.MaxTokens;
}
