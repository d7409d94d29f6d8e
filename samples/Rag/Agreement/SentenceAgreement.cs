using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>
/// Whether a sentence says what a question asks, by its words. Vectors of a small model do not tell an attribute that it has not learned from any other of the same thing; this does:
/// <list type="number">
/// <item>everything of substance that the question names is in the sentence, or in the headings above it: as the same word in any regular form, or one of its synonyms;</item>
/// <item>it stands there as one phrase: nothing of substance between ("the price of the <i>case</i> of the scanner"), and nothing attached that makes it a name for something else ("the scanner <i>case</i>", "<i>North</i> Harbor");</item>
/// <item>the sentence goes on to say something of the kind that the question word asks for: a figure, a place, a name.</item>
/// </list>
/// It errs on the side of "no": a sentence in which it cannot tell is not quoted.
/// </summary>
internal static class SentenceAgreement
{
    public static bool Agrees(AskedQuestion question, string sentence, string heading)
    {
        if (question.Pointer is not null || question.Words.Count == 0 || sentence.TrimEnd().EndsWith('?') || sentence.TrimEnd().EndsWith('？'))
            return false;
        if (TableRow.Read(sentence) is { } row)
            return row.Says(question, heading);
        var matches = Matches.Of(question.Words, TermReader.Read(sentence));
        if (!matches.HasAny || (matches.Missing.Count > 0 && !HeadingAgreement.Has(heading, matches.Missing, question)))
            return false;
        var isHeaded = matches.Missing.Count > 0;
        return matches.Windows().Any(window => IsPhrase(question, matches, window.Start.Value, window.End.Value, isHeaded) && AnswerForm.Fits(question, matches, window));
    }

    private static bool IsPhrase(AskedQuestion question, Matches matches, int first, int end, bool isHeaded) =>
        IsWhole(question, matches, first, end)
        && (IsCounted(question, matches, first, end) || StartsItself(question, matches, first, isHeaded))
        && EndsItself(question, matches, first, end, isHeaded);

    /// <summary>Nothing of substance inside, but for one figure with its unit ("a power of 67 watts on the turbine") where nothing else begins.</summary>
    private static bool IsWhole(AskedQuestion question, Matches matches, int first, int end)
    {
        var foreign = Enumerable.Range(first, end - first).Where(matches.IsForeign).ToArray();
        if (foreign.Length == 0)
            return true;
        // A number right behind a word of the name is part of the name ("scanner 2"), but not behind the verb ("needs 3 eggs").
        var isOfName = matches.Terms[foreign[0] - 1].HasSubstance && !(question.HasVerb && matches.Has(question.Words[^1], foreign[0] - 1));
        var isFigure = matches.Terms[foreign[0]].Kind == Number && !isOfName && foreign.Length <= 3 && foreign[^1] - foreign[0] == foreign.Length - 1 && foreign.Skip(1).All(at => matches.Terms[at].Kind == Content);
        return isFigure && Enumerable.Range(first, end - first).All(at => matches.Terms[at].Kind is not (Break or Conjunction));
    }

    /// <summary>"How many watts has the server?": in "the power of the server is 903 watts" the unit says of what the figure is.</summary>
    private static bool IsCounted(AskedQuestion question, Matches matches, int first, int end) =>
        question.Wanted == AnswerKind.Quantity
        && Enumerable.Range(first, end - first).Any(at => at > first && matches.IsMatched(at) && matches.Terms[at - 1].Kind == Number)
        && Enumerable.Range(first, end - first).Any(at => matches.Terms[at].Kind == Be);

    /// <summary>Nothing before the phrase to which it belongs: "the case of the scanner", "the company's pump", "old scanner".</summary>
    private static bool StartsItself(AskedQuestion question, Matches matches, int first, bool isHeaded)
    {
        // "Tom leads the ward." for "Who leads the ward?"; where the sentence begins with another word of the question, it is turned around.
        if (question.AsksForSubject && matches.Has(question.Words[0], first))
            return true;
        var hasPreposition = false;
        for (var at = first - 1; at >= 0; at--)
        {
            var term = matches.Terms[at];
            if (term.Kind == Break && !isHeaded)
                return true;
            // Where the heading names the thing, the sentence must not name another.
            if (term.HasSubstance)
                return !isHeaded && !hasPreposition && at < first - 1;
            hasPreposition |= term.Kind is Preposition or Possessive;
        }

        return true;
    }

    /// <summary>Nothing behind the phrase that makes it a name for something else: "scanner case", "scanner 2", "the scanner's case", "the hours of the museum".</summary>
    private static bool EndsItself(AskedQuestion question, Matches matches, int first, int end, bool isHeaded)
    {
        var terms = matches.Terms;
        if (end == terms.Count)
            return true;
        // With the thing named by the heading: "Price: 415 dollars", "Its price is 415 dollars", and not "Its price for the Harbor crane is …".
        if (question.Stranded is { } stranded && terms[end].Text == stranded)
            return true;
        var hasVerb = question.HasVerb || Enumerable.Range(first, end - first).Any(at => terms[at].Kind is Be or Auxiliary);
        if (isHeaded && (terms[end].Kind == Possessive || (terms[end].Kind == Preposition && !hasVerb)))
            return false;
        if (terms[end].Kind == Possessive)
            return !Enumerable.Range(end + 1, terms.Count - end - 1).TakeWhile(at => terms[at].Kind is Function or Content or Number or Possessive).Any(matches.IsForeign);
        if (!matches.IsForeign(end))
            return true;
        if (terms[end].Kind == Number)
            return end + 1 == terms.Count || terms[end + 1].HasSubstance && !matches.IsMatched(end + 1) || terms[end + 1].Kind is Break or Possessive or Preposition or Conjunction;
        if (!question.HasVerb || (terms[end].IsCapital && terms[end - 1].IsCapital))
            return false;
        var next = end;
        while (next < terms.Count && matches.IsForeign(next))
            next++;
        return next == terms.Count || terms[next].Kind is not (Be or Auxiliary or Possessive);
    }
}
