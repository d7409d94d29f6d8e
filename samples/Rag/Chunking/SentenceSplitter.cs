using System.Globalization;
using System.Text.RegularExpressions;

namespace LocalLlm.Samples.Rag.Chunking;

/// <summary>Splits texts in English, Chinese and languages with the same punctuation into sentences.</summary>
internal static partial class SentenceSplitter
{
    private const string Ends = ".!?…";
    private const string WideEnds = "。！？";
    private const string Closers = "\"')]}”’»」』）】》";

    private static readonly HashSet<string> s_abbreviations = new(StringComparer.OrdinalIgnoreCase)
    {
        "mr", "mrs", "ms", "dr", "prof", "st", "no", "nr", "vs", "etc", "e.g", "i.e", "cf", "fig", "vol", "ca", "approx", "inc", "ltd", "jr", "sr",
    };

    /// <summary>
    /// Ranges that cover the whole text, in order: each is a sentence and the white space after it.
    /// </summary>
    public static IReadOnlyList<Range> Split(string text)
    {
        var sentences = new List<Range>();
        var start = 0;
        for (var i = 0; i < text.Length; i++)
        {
            var end = EndOfSentence(text, i) ?? EndOfParagraph(text, i);
            if (end is null)
                continue;
            var next = end.Value;
            while (next < text.Length && char.IsWhiteSpace(text[next]))
                next++;
            sentences.Add(start..next);
            start = next;
            i = next - 1;
        }

        if (start < text.Length)
            sentences.Add(start..text.Length);
        return sentences;
    }

    private static int? EndOfSentence(string text, int i)
    {
        var isWide = WideEnds.Contains(text[i]);
        if (!isWide && !Ends.Contains(text[i]))
            return null;
        // A run of end marks was handled at its first one.
        if (!isWide && i > 0 && Ends.Contains(text[i - 1]))
            return null;
        var end = i + 1;
        while (end < text.Length && (Ends.Contains(text[end]) || WideEnds.Contains(text[end]) || Closers.Contains(text[end])))
            end++;
        // A mark such as [1] belongs to the sentence before it.
        if (Mark().Match(text, end) is { Success: true } mark && mark.Index == end)
            end += mark.Length;
        if (isWide || end == text.Length)
            return end;
        // A point inside a number, a name or an address has no white space after it.
        if (!char.IsWhiteSpace(text[end]))
            return null;
        return (text[i] == '.' && IsAbbreviation(text, i)) || (text[i] is '.' or '…' && GoesOn(text, end)) ? null : end;
    }

    private static int? EndOfParagraph(string text, int i)
    {
        if (text[i] != '\n')
            return null;
        for (var j = i + 1; j < text.Length && char.IsWhiteSpace(text[j]); j++)
        {
            if (text[j] == '\n')
                return i;
        }

        return null;
    }

    private static bool IsAbbreviation(string text, int point)
    {
        var start = point;
        while (start > 0 && (char.IsLetter(text[start - 1]) || text[start - 1] == '.'))
            start--;
        var word = text[start..point];
        // A single capital letter is an initial.
        return s_abbreviations.Contains(word) || (word.Length == 1 && char.IsUpper(word[0]));
    }

    [GeneratedRegex(@"\G(?:[ \t]?\[\d{1,4}\])+(?=\s|$)")]
    private static partial Regex Mark();

    /// <summary>Whether the sentence goes on, since a sentence does not begin with a lower-case letter.</summary>
    private static bool GoesOn(string text, int end)
    {
        while (end < text.Length && char.IsWhiteSpace(text[end]))
            end++;
        return end < text.Length && char.GetUnicodeCategory(text, end) == UnicodeCategory.LowercaseLetter;
    }
}
