using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>
/// Decides by words whether a sentence says what a question asks. The vectors of a small model cannot distinguish an attribute that it has
/// not learned from other attributes of the same thing; these rules can:
/// <list type="number">
/// <item>everything of substance that the question names is in the sentence or in the headings above it, as the same word in any regular
/// form or as a synonym;</item>
/// <item>the sentence has these words as one phrase: nothing of substance stands between them ("the price of the <i>case</i> of the
/// scanner"), and nothing attached makes them name something else ("the scanner <i>case</i>", "<i>North</i> Harbor");</item>
/// <item>the sentence also says something of the kind that the question word asks for: a figure, a place, a name.</item>
/// </list>
/// In doubt the answer is "no": a sentence that the rules cannot decide is not quoted.
/// </summary>
internal static class SentenceAgreement
{
    private const string Closers = "\"')]}”’»」』）】》";

    public static bool Agrees(AskedQuestion question, string sentence, string heading)
    {
        // A question never answers another, quoted or not.
        if (question.Pointer is not null || question.Words.Count == 0 || sentence.TrimEnd().TrimEnd(Closers.ToCharArray()) is [.., '?' or '？'])
            return false;
        if (TableRow.Read(sentence) is { } row)
            return row.Says(question, heading);
        var matches = Matches.Of(question.Words, TermReader.Read(sentence));
        if (!matches.HasAny || (matches.Missing.Count > 0 && !HeadingAgreement.Has(heading, matches.Missing, question)))
            return false;
        // A denial answers only a negative question.
        if (!question.IsNegative && Negation.IsIn(matches.Terms))
            return false;
        // "May bring" is not "must bring".
        if (question.IsDuty is { } duty && AskedQuestion.DutyIn(matches.Terms) == !duty)
            return false;
        var isHeaded = matches.Missing.Count > 0;
        return matches.Windows().Any(window => IsPhrase(question, matches, window.Start.Value, window.End.Value, isHeaded)
            && Relation.Agree(question, matches, window) && Ownership.Agrees(question, matches, window) && AnswerForm.Fits(question, matches, window));
    }

    private static bool IsPhrase(AskedQuestion question, Matches matches, int first, int end, bool isHeaded) =>
        PhraseInside.IsWhole(question, matches, first, end)
        && !IsTurnedToPassive(question, matches, first, end)
        && (IsCounted(question, matches, first, end) || PhraseStart.StartsItself(question, matches, first, end, isHeaded))
        && PhraseEnd.EndsItself(question, matches, first, end, isHeaded);

    /// <summary>Whether the sentence turns the question's verb into the passive: who hired Rita does not answer "Who did Rita
    /// hire?"</summary>
    private static bool IsTurnedToPassive(AskedQuestion question, Matches matches, int first, int end) => question.IsActive
        && Enumerable.Range(first, end - first).Any(at => at > first && matches.IsMatched(at) && matches.Terms[at - 1].Kind == Be && matches.Terms[at].Text.EndsWith("ed", StringComparison.Ordinal));

    /// <summary>Whether the sentence has a counted unit as its value: "How many watts has the server?" is answered by "the power of the
    /// server is 903 watts", since the unit says what the figure measures.</summary>
    private static bool IsCounted(AskedQuestion question, Matches matches, int first, int end) =>
        question.Wanted == AnswerKind.Quantity
        && Enumerable.Range(first, end - first).Any(at => at > first && matches.IsMatched(at) && matches.Terms[at - 1].Kind == Number)
        && Enumerable.Range(first, end - first).Any(at => matches.Terms[at].Kind == Be);
}
