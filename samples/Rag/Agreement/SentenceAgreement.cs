using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>
/// Whether a sentence says what a question asks, by its words. Vectors of a small model do not tell an attribute that it has not learned
/// from any other of the same thing; this does:
/// <list type="number">
/// <item>everything of substance that the question names is in the sentence, or in the headings above it: as the same word in any regular
/// form, or one of its synonyms;</item>
/// <item>it stands there as one phrase: nothing of substance between ("the price of the <i>case</i> of the scanner"), and nothing attached
/// that makes it a name for something else ("the scanner <i>case</i>", "<i>North</i> Harbor");</item>
/// <item>the sentence goes on to say something of the kind that the question word asks for: a figure, a place, a name.</item>
/// </list>
/// It errs on the side of "no": a sentence in which it cannot tell is not quoted.
/// </summary>
internal static class SentenceAgreement
{
    private const string Closers = "\"')]}”’»」』）】》";

    public static bool Agrees(AskedQuestion question, string sentence, string heading)
    {
        // A question answers nothing, quoted or not.
        if (question.Pointer is not null || question.Words.Count == 0 || sentence.TrimEnd().TrimEnd(Closers.ToCharArray()) is [.., '?' or '？'])
            return false;
        if (TableRow.Read(sentence) is { } row)
            return row.Says(question, heading);
        var matches = Matches.Of(question.Words, TermReader.Read(sentence));
        if (!matches.HasAny || (matches.Missing.Count > 0 && !HeadingAgreement.Has(heading, matches.Missing, question)))
            return false;
        // What is denied answers only what asks for it.
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

    /// <summary>"Who did Rita hire?" is not answered by who hired her.</summary>
    private static bool IsTurnedToPassive(AskedQuestion question, Matches matches, int first, int end) => question.IsActive
        && Enumerable.Range(first, end - first).Any(at => at > first && matches.IsMatched(at) && matches.Terms[at - 1].Kind == Be && matches.Terms[at].Text.EndsWith("ed", StringComparison.Ordinal));

    /// <summary>"How many watts has the server?": in "the power of the server is 903 watts" the unit says of what the figure is.</summary>
    private static bool IsCounted(AskedQuestion question, Matches matches, int first, int end) =>
        question.Wanted == AnswerKind.Quantity
        && Enumerable.Range(first, end - first).Any(at => at > first && matches.IsMatched(at) && matches.Terms[at - 1].Kind == Number)
        && Enumerable.Range(first, end - first).Any(at => matches.Terms[at].Kind == Be);
}
