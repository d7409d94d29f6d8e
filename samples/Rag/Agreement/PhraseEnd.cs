using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Whether the phrase means the same with the words after it. They may make it name something else ("scanner case", "scanner 2",
/// "the scanner's case", "the hours of the museum") or give its verb another object ("opens its café").</summary>
internal static class PhraseEnd
{
    private static readonly HashSet<string> s_coordinating = [.. "and or nor 和 与 及 以及 或 、".Split(' ')];
    private static readonly HashSet<string> s_positions = [.. "stands stand lies lie hangs hang sits sit".Split(' ')];

    public static bool EndsItself(AskedQuestion question, Matches matches, int first, int end, bool isHeaded)
    {
        var terms = matches.Terms;
        // "weighs only 3 kilograms"
        if (end + 1 < terms.Count && IsRoughly(terms[end]) && terms[end + 1].Kind == Number && matches.IsForeign(end + 1))
            return true;
        if (end == terms.Count)
            return true;
        if (question.Stranded is { } stranded && terms[end].Text == stranded)
            return true;
        if (IsCompared(question, terms, end) || HasAnotherObject(question, matches, end) || !(IsShared(question, terms, end) || PhraseInside.HasFigure(matches, first, end)))
            return false;
        // "Where is the key?": "The key hangs beside the door."
        if (question.Wanted == AnswerKind.Place && !question.HasVerb && s_positions.Contains(terms[end].Text))
            return end + 1 < terms.Count && terms[end + 1].Kind == Preposition;
        // "The pump has a pressure of 8 bar."
        if (terms[end].Text == "of" && end + 1 < terms.Count && terms[end + 1].Kind == Number && matches.IsForeign(end + 1))
            return true;
        // "Built in 1973": a participle alone is the verb.
        var isParticiple = first == 0 && question.Wanted is AnswerKind.Time or AnswerKind.Place or AnswerKind.Person or AnswerKind.Reason && matches.Has(question.Words[^1], end - 1);
        var hasVerb = isParticiple || question.HasVerb || Enumerable.Range(first, end - first).Any(at => terms[at].Kind is Be or Auxiliary);
        // A heading names the thing: "Price: 415 dollars" and "Its price is 415 dollars" pass, "Its price for the Harbor crane is …" does
        // not.
        if (isHeaded && (terms[end].Kind == Possessive || (terms[end].Kind == Preposition && !hasVerb)))
            return false;
        if (terms[end].Kind == Possessive)
            return !Enumerable.Range(end + 1, terms.Count - end - 1).TakeWhile(at => terms[at].Kind is Function or Content or Number or Possessive).Any(matches.IsForeign);
        if (!matches.IsForeign(end))
            return true;
        if (terms[end].Kind == Number)
            return IsValue(question, matches, end);
        if (!question.HasVerb || (terms[end].IsCapital && terms[end - 1].IsCapital))
            return false;
        var next = end;
        while (next < terms.Count && matches.IsForeign(next))
            next++;
        return next == terms.Count || terms[next].Kind is not (Be or Auxiliary or Possessive);
    }

    /// <summary>Words such as in "about 3", "only 3".</summary>
    public static bool IsRoughly(Term term) => term.Text is "about" or "around" or "only" or "nearly" or "almost" or "roughly" or "approximately" or "exactly" or "约";

    /// <summary>Whether a figure right after the phrase is its value ("weighs 2 kilograms", "Price 415"), and not part of a name ("mast 2:
    /// 52 meters", "Garage 7 in Turin").</summary>
    private static bool IsValue(AskedQuestion question, Matches matches, int at)
    {
        var terms = matches.Terms;
        if (at + 1 < terms.Count && terms[at + 1].HasSubstance)
            return !matches.IsMatched(at + 1);
        var isSaid = question.HasVerb || question.Words.Any(word => word.IsMeasure && matches.Has(word, at - 1));
        return isSaid && (at + 1 == terms.Count || terms[at + 1].Kind is Break or Possessive or Preposition or Conjunction);
    }

    /// <summary>Whether the sentence only compares: "is 90 euros higher than …", "costs more than …" state no value.</summary>
    private static bool IsCompared(AskedQuestion question, IReadOnlyList<Term> terms, int end) =>
        !question.Words.Any(word => word.Forms[0] == "than") && terms.Skip(end).Any(term => term.Text == "than");

    /// <summary>Whether the verb has an object that is not in the question: when the museum opens its café does not answer "When does the
    /// museum open?"</summary>
    private static bool HasAnotherObject(AskedQuestion question, Matches matches, int end)
    {
        if (!question.HasVerb || question.Wanted is not (AnswerKind.Time or AnswerKind.Place or AnswerKind.Reason or AnswerKind.Way))
            return false;
        var terms = matches.Terms;
        // 产自杭州
        if (terms[end - 1].Text is "自")
            return false;
        while (end < terms.Count && terms[end].Kind is Function or Pronoun)
            end++;
        return end < terms.Count && terms[end].Kind == Content && matches.IsForeign(end) && !AnswerForm.IsCalendar(terms[end].Text) && !terms[end].Text.EndsWith("ly", StringComparison.Ordinal);
    }

    /// <summary>Whether a statement about two subjects holds for one of them, unlike "The owner of the works and Tilda are friends". Only a
    /// figure, a place or a time does, and only without a possessive ("and Tilda's son").</summary>
    private static bool IsShared(AskedQuestion question, IReadOnlyList<Term> terms, int end)
    {
        if (!s_coordinating.Contains(terms[end].Text))
            return true;
        var be = Enumerable.Range(end, terms.Count - end).FirstOrDefault(at => terms[at].Kind is Be or Auxiliary or Preposition or Break || terms[at].Text == "都", terms.Count);
        if (be == terms.Count || terms.Skip(end).Take(be - end).Any(term => term.Kind == Possessive))
            return false;
        return question.Wanted is AnswerKind.Place or AnswerKind.Time || (be + 1 < terms.Count && terms[be].Kind == Be && terms[be + 1].Kind == Number);
    }
}
