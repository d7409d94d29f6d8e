using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>
/// Whether no words before a phrase make it part of another statement, as in: "the case of the scanner", "the company's pump", "old
/// scanner", "Pia married the captain", "if the pressure", "the engineer who built the tug", "Anna and the owner", "near the tower".
/// </summary>
internal static class PhraseStart
{
    private static readonly HashSet<string> s_subordinators = [.. "if unless whether when whenever while although though until before after once whose who whom which where that than unlike provided assuming suppose".Split(' ')];
    private static readonly string[] s_wideConditions = ["如果", "若", "假如", "要是", "一旦", "除非", "据说", "是否"];
    private static readonly HashSet<string> s_dividers = [.. ": ; ( [ . ! – — - ： ； （ 。 •".Split(' ')];

    public static bool StartsItself(AskedQuestion question, Matches matches, int first, int end, bool isHeaded)
    {
        var terms = matches.Terms;
        // "Tom leads the ward." answers "Who leads the ward?" If the phrase begins with another word, the sentence is turned around.
        if (question.AsksForSubject && matches.Has(question.Words[0], first))
            return isHeaded ? NamesNoOther(matches, first, end) : IsMainClause(terms, first);
        var (hasBe, isNext) = (false, true);
        for (var at = first - 1; at >= 0; at--)
        {
            var term = terms[at];
            switch (term.Kind)
            {
                case Break when term.Text is "," or "，":
                    if (!isHeaded)
                        return IsMainClause(terms, at);
                    break;
                case Break when !isHeaded:
                    // A quoted statement is the speaker's, not the document's.
                    return s_dividers.Contains(term.Text) ? IsMainClause(terms, at) : !terms.Take(at).Any(before => before.HasSubstance);
                case Interrogative or Possessive:
                    return false;
                case Function when term.Text == "that" && at > 0:
                    return false;
                case Conjunction:
                    return isHeaded ? !terms.Take(at).Any(before => before.HasSubstance) : terms.Take(at).Any(before => before.Kind is Be or Auxiliary or Number) && IsMainClause(terms, at);
                case Preposition when isNext && !hasBe:
                    if (!Relation.IsAsked(question, term.Text, terms[first]))
                        return IsTime(terms, at, first);
                    break;
                case Be when isNext:
                    hasBe = true;
                    break;
                case Content or Number:
                    if (IsTimeOnly(terms, at) || (at == 0 && term.Text.EndsWith("ly", StringComparison.Ordinal)))
                        return true;
                    if (isHeaded || (at == first - 1 && !IsFigureOfCounted(question, matches, at)))
                        return false;
                    if (IsFigureOfCounted(question, matches, at))
                        break;
                    // "Hugo is the son of Ines", 张伟是车间主任. "a power of 67 watts" states its value itself, whoever measured it.
                    return (hasBe && IsMainClause(terms, at)) || (PhraseInside.HasFigure(matches, first, end) && IsMainClause(terms, at));
            }

            isNext &= term.Kind is Function or Be;
        }

        return !IsCondition(terms);
    }

    /// <summary>Whether no condition, relative clause or comparison begins before a place.</summary>
    private static bool IsMainClause(IReadOnlyList<Term> terms, int at) => !terms.Take(at).Select((term, index) => (term, index)).Any(before => before.term.Text == "that" ? before.index > 0 : s_subordinators.Contains(before.term.Text)) && !IsCondition(terms);

    private static bool IsCondition(IReadOnlyList<Term> terms)
    {
        var wide = string.Concat(terms.Take(4).Where(term => term.IsWide).Select(term => term.Text));
        return s_wideConditions.Any(condition => wide.StartsWith(condition, StringComparison.Ordinal));
    }

    /// <summary>Whether a term is the figure that is asked for: "There are 14 cows".</summary>
    private static bool IsFigureOfCounted(AskedQuestion question, Matches matches, int at) =>
        matches.Terms[at].Kind == Number && question.Counted is not null && at + 1 < matches.Terms.Count && matches.IsMatched(at + 1)
        && (matches.Terms[at + 1].Text == question.Counted || WordForms.AreSame(matches.Terms[at + 1].Text, question.Counted));

    /// <summary>Whether all terms up to a place, inclusive, are a time: "In August 2020", "Since 1990", "Yesterday".</summary>
    private static bool IsTimeOnly(IReadOnlyList<Term> terms, int at) => Enumerable.Range(0, at + 1).All(before => terms[before].Kind is Preposition or Function or Number || AnswerForm.IsCalendar(terms[before].Text)) && !terms[0].IsWide
        && (terms[0].Kind is Preposition or Number || AnswerForm.IsCalendar(terms[0].Text));

    private static bool IsTime(IReadOnlyList<Term> terms, int from, int first) => Enumerable.Range(from + 1, first - from).Any(at => AnswerForm.IsCalendar(terms[at].Text));

    /// <summary>For a sentence whose heading names the object: "Repaired by Ivo" and "Ivo repairs it" name no other object, but "Ivo
    /// repairs the brake" and "The alarm was repaired by Ivo" do.</summary>
    private static bool NamesNoOther(Matches matches, int first, int end)
    {
        var terms = matches.Terms;
        var hasBe = false;
        for (var at = first - 1; at >= 0; at--)
        {
            hasBe |= terms[at].Kind == Be;
            if (terms[at].HasSubstance && (hasBe || !terms[at].IsCapital || AnswerForm.IsCalendar(terms[at].Text)))
                return false;
        }

        while (end < terms.Count && terms[end].Kind is Function)
            end++;
        return end == terms.Count || terms[end].Kind is Break or Preposition or Number or Pronoun || AnswerForm.IsCalendar(terms[end].Text);
    }
}
