using System.Globalization;
using System.Text.RegularExpressions;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Configuration;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>
/// Matches the citations of an answer with the sources that were really shown. A number that belongs to no source is removed, and a
/// sentence with figures that its source does not have is marked. Where the model wrote no number, an answer gets one only if each of its
/// sentences is a sentence of a source; the line of the thought that chose a source ("[2] … Yes.") decides between several.
/// </summary>
internal static partial class CitationReader
{
    private const string Unsupported = "The model gave no answer that the documents support.";

    public static Answer Read(string question, string text, string thought, IReadOnlyList<Source> sources, AnswerOptions options)
    {
        var notes = new List<string>();
        var written = WithoutForeign(text.Trim(), sources, notes);
        var cited = Number().Matches(written).Select(NumberOf).Distinct().Order().ToArray();
        var answer = new Answer { Question = question, Text = written, State = AnswerState.Answered, Cited = cited, Sources = sources, Thought = thought };
        if (written.Length == 0 || IsNotFound(written, options.NotFound))
            return answer with { Text = written.Length == 0 ? Unsupported : options.NotFound, State = written.Length == 0 ? AnswerState.Unsupported : AnswerState.NotFound, Cited = [], Notes = notes };
        if (cited.Length > 0)
        {
            var doubts = Doubts(written, sources);
            return answer with { State = doubts.Count > 0 ? AnswerState.Unsupported : AnswerState.Answered, Notes = [.. notes, .. doubts] };
        }

        if (Quoted(written, thought, sources) is { Count: > 0 } quoted)
            return answer with { Text = written + string.Concat(quoted.Select(number => $" [{number}]")), Cited = quoted, Notes = notes };
        if (!options.WithholdUnsupported)
        {
            const string note = "The answer cites no source, and no source has the same words.";
            return answer with { State = AnswerState.Unsupported, Notes = [.. notes, note] };
        }
        return answer with { Text = Unsupported, State = AnswerState.Unsupported, Notes = [.. notes, $"Withheld, because no source says it: {written}"] };
    }

    private static string WithoutForeign(string text, IReadOnlyList<Source> sources, List<string> notes) => Number().Replace(text, match =>
    {
        if (NumberOf(match) is var number && number >= 1 && number <= sources.Count)
            return match.Value;
        notes.Add($"The model cited {match.Value.Trim()}, which is not a source; the citation was removed.");
        return "";
    });

    /// <summary>
    /// For each sentence of the answer, the sources that have it word for word; of several, those that the thought chose. Empty if some
    /// sentence has no source.
    /// </summary>
    private static IReadOnlyList<int> Quoted(string text, string thought, IReadOnlyList<Source> sources)
    {
        var chosen = Choice().Matches(thought).Select(NumberOf).ToHashSet();
        var quoted = new SortedSet<int>();
        foreach (var sentence in SentenceSplitter.Split(text))
        {
            var said = Wording.Normalized(text[sentence]);
            var saying = sources.Where(source => SentenceSplitter.Split(source.Text).Any(own => Wording.Normalized(OfSource(source.Text[own])) == said)).Select(source => source.Number).ToArray();
            if (saying.Length == 0)
                return [];
            quoted.UnionWith(saying.Any(chosen.Contains) ? saying.Where(chosen.Contains) : saying);
        }

        return [.. quoted];
    }

    /// <summary>Figures of a sentence that no source cited in it has.</summary>
    private static List<string> Doubts(string text, IReadOnlyList<Source> sources)
    {
        var doubts = new List<string>();
        foreach (var sentence in SentenceSplitter.Split(text))
        {
            var cited = Number().Matches(text[sentence]).Select(NumberOf).ToHashSet();
            var known = sources.Where(source => cited.Contains(source.Number)).SelectMany(source => Figures(source.Text)).ToHashSet();
            var foreign = cited.Count == 0 ? [] : Figures(Number().Replace(text[sentence], "")).Where(figure => !known.Contains(figure)).Distinct().ToArray();
            if (foreign.Length > 0)
                doubts.Add($"The source cited does not have {string.Join(", ", foreign)}.");
        }

        return doubts;
    }

    private static IEnumerable<string> Figures(string text) => Wording.Normalized(text).Split(' ').Where(word => word.Any(char.IsDigit));

    // The document's own marks are not words.
    private static string OfSource(string sentence) => Number().Replace(sentence, "");

    private static bool IsNotFound(string text, string notFound) => Wording.Normalized(Number().Replace(text, "")) == Wording.Normalized(notFound);

    private static int NumberOf(Match match) => int.TryParse(match.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    [GeneratedRegex(@"\s*\[(\d{1,9})\]")]
    private static partial Regex Number();

    [GeneratedRegex(@"^\[(\d{1,9})\].*\bYes\.\s*$", RegexOptions.Multiline)]
    private static partial Regex Choice();
}
