using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Web;

/// <summary>What the page is told, in the names of its JSON.</summary>
internal static class WireAnswer
{
    /// <summary>An event's name and its data.</summary>
    public static (string Name, object Data) Of(AnswerEvent happened) => happened switch
    {
        AnswerEvent.Found found => ("found", Passages(found.Hits, found.Sources)),
        AnswerEvent.Thought thought => ("thought", thought.Piece),
        AnswerEvent.Text text => ("text", text.Piece),
        AnswerEvent.Done { Answer: var answer } => ("done", new WireDone(answer.Text, Name(answer.State), answer.Cited, answer.Notes, Passages(answer.Hits, answer.Sources))),
        _ => throw new InvalidOperationException($"No event is written for {happened.GetType().Name}."),
    };

    private static IReadOnlyList<WirePassage> Passages(IReadOnlyList<SearchHit> hits, IReadOnlyList<Source> sources) =>
    [
        .. hits.Select(hit => new WirePassage(
            hit.Passage.Document,
            hit.Passage.Heading,
            hit.Passage.Page,
            hit.Passage.Text,
            Math.Round(hit.Scores.Hybrid, 3),
            hit.Question?.Question,
            [.. sources.Where(source => source.Hit.Passage == hit.Passage).Select(source => new WireSource(source.Number, source.Text, StartOf(source)))])),
    ];

    /// <summary>Sources are whole passages or whole sentences: the same words inside of another sentence are not the source.</summary>
    private static int? StartOf(Source source)
    {
        var passage = source.Hit.Passage.Text;
        if (passage == source.Text)
            return 0;
        foreach (var sentence in SentenceSplitter.Split(passage))
        {
            var text = passage[sentence];
            if (text.Trim() == source.Text)
                return sentence.Start.Value + text.Length - text.TrimStart().Length;
        }

        return null;
    }

    private static string Name(AnswerState state) => state switch
    {
        AnswerState.Answered => "answered",
        AnswerState.NotFound => "not_found",
        _ => "unsupported",
    };
}

/// <summary>A passage found, and in its sources what the model was shown of it.</summary>
internal sealed record WirePassage(string Document, string Heading, int? Page, string Text, double Score, string? Question, IReadOnlyList<WireSource> Sources);

/// <param name="Number">From 1.</param>
/// <param name="Text">What the model was shown.</param>
/// <param name="Start">Where it begins in the passage, in UTF-16 code units as JavaScript counts; null where the passage does not have it.</param>
internal sealed record WireSource(int Number, string Text, int? Start);

internal sealed record WireDone(string Text, string State, IReadOnlyList<int> Cited, IReadOnlyList<string> Notes, IReadOnlyList<WirePassage> Passages);
