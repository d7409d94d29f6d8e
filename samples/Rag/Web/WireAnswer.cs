using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Web;

/// <summary>The data that the page receives, with the names of its JSON.</summary>
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
            hit.Passage.Source,
            hit.Passage.Text,
            Math.Round(hit.Scores.Hybrid, 3),
            hit.Question?.Question,
            [.. sources.Where(source => source.Hit.Passage == hit.Passage).Select(source => new WireSource(source.Number, source.Place, source.Text, source.Part.Start))])),
    ];

    private static string Name(AnswerState state) => state switch
    {
        AnswerState.Answered => "answered",
        AnswerState.NotFound => "not_found",
        _ => "unsupported",
    };
}

/// <summary>A passage found.</summary>
/// <param name="Place">Its document, its pages or lines, and its headings.</param>
/// <param name="Text">The whole passage.</param>
/// <param name="Score">How well it fits the question.</param>
/// <param name="Question">The question by which the passage was found; null: its own text was found.</param>
/// <param name="Sources">The parts of it that the model was shown.</param>
internal sealed record WirePassage(string Place, string Text, double Score, string? Question, IReadOnlyList<WireSource> Sources);

/// <param name="Number">From 1.</param>
/// <param name="Place">The document, the pages or lines of exactly this text, and its headings.</param>
/// <param name="Text">What the model was shown.</param>
/// <param name="Start">Where the text begins in the passage, in UTF-16 code units, as JavaScript counts.</param>
internal sealed record WireSource(int Number, string Place, string Text, int Start);

internal sealed record WireDone(string Text, string State, IReadOnlyList<int> Cited, IReadOnlyList<string> Notes, IReadOnlyList<WirePassage> Passages);
