using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Search;
using Spectre.Console;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary>
/// Prints an answer. On an interactive terminal the passages, the thought and the words appear as they come; then follows the answer with
/// its sources.
/// </summary>
internal sealed class AnswerPrinter(RagTerminal terminal)
{
    public async Task<Answer> PrintAsync(IAsyncEnumerable<AnswerEvent> events)
    {
        Answer? answer = null;
        AnswerEvent? last = null;
        await foreach (var happened in events)
        {
            if (happened is AnswerEvent.Done done)
                answer = done.Answer;
            else if (terminal.IsInteractive && happened is AnswerEvent.Thought or AnswerEvent.Text)
                last = Stream(happened, last);
        }

        if (last is not null)
            await terminal.Output.WriteLineAsync("\n");
        await WriteAsync(answer!);
        return answer!;
    }

    private AnswerEvent Stream(AnswerEvent happened, AnswerEvent? last)
    {
        if (last is AnswerEvent.Thought && happened is AnswerEvent.Text)
            terminal.Output.WriteLine();
        if (happened is AnswerEvent.Thought thought)
            terminal.Console.Write(new Text(thought.Piece, new Style(decoration: Decoration.Dim)));
        else if (happened is AnswerEvent.Text text)
            terminal.Console.Write(new Text(text.Piece));
        return happened;
    }

    private async Task WriteAsync(Answer answer)
    {
        var output = terminal.Output;
        if (answer.Standalone is not null)
            await output.WriteLineAsync($"Understood as: {PlainLine.Of(answer.Standalone)}");
        await output.WriteLineAsync(answer.Hits.Count == 0 ? answer.State == AnswerState.NotFound ? "No passage is near." : "No passage was found." : answer.State == AnswerState.NotFound ? "Nearest passages:" : "Passages:");
        for (var index = 0; index < answer.Hits.Count; index++)
            await output.WriteLineAsync($"  {Scored(answer.Hits[index])}\n      {Marked(answer.Hits[index], answer.Sources)}");
        await output.WriteLineAsync($"\nAnswer: {PlainLine.Of(answer.Text)}");
        foreach (var source in answer.Sources.Where(source => answer.Cited.Contains(source.Number)))
            await output.WriteLineAsync($"  [{source.Number}] {PlainLine.Of(source.Place)}");
        foreach (var note in answer.Notes)
            await output.WriteLineAsync($"  Note: {PlainLine.Of(note)}");
    }

    /// <summary>The score and where the passage stands.</summary>
    private static string Scored(SearchHit hit) => FormattableString.Invariant($"{hit.Scores.Hybrid:0.000} {PlainLine.Of(hit.Passage.Source)}");

    /// <summary>The passage, with a source's number before each part that the model was shown.</summary>
    private static string Marked(SearchHit hit, IReadOnlyList<Source> sources) => PlainLine.Of(sources
        .Where(source => source.Hit.Passage == hit.Passage)
        .Select(source => (source.Number, At: source.Part.Start))
        // From the last to the first, so that an insertion does not move the places still to come.
        .OrderByDescending(source => source.At)
        .Aggregate(hit.Passage.Text, (text, source) => text.Insert(source.At, $"[{source.Number}] ")));
}
