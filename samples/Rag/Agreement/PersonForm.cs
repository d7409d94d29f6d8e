using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Whether a sentence names the person that is asked for: a name must stand where the answer belongs. A capital letter elsewhere
/// is not enough ("Yesterday the bridge was repaired").</summary>
internal static class PersonForm
{
    public static bool IsNamed(AskedQuestion question, Matches matches, Range window)
    {
        var terms = matches.Terms;
        var (first, end) = (window.Start.Value, window.End.Value);
        if (IsAgent(matches))
            return !question.IsActive;
        if (question.AsksForSubject)
        {
            // The subject stands before its verb, and the verb begins the phrase.
            if (!matches.Has(question.Words[0], first) && !(terms[first].IsWide && question.Words[0].IsWide && question.Words[0].Forms[0][0] == terms[first].Text[0]))
                return false;
            var subject = first - 1;
            while (subject >= 0 && (terms[subject].Kind is Auxiliary or Function || terms[subject].Text.EndsWith("ly", StringComparison.Ordinal)))
                subject--;
            return subject >= 0 && (terms[subject].IsWide ? IsWideName(terms, subject) : IsName(matches, subject));
        }

        if (StatedValue.BeBefore(terms, first) is > 0 and var be)
            return terms[be - 1].IsWide ? IsWideName(terms, be - 1) : IsName(matches, be - 1);
        var at = end;
        while (at < terms.Count && (terms[at].Kind is Be or Preposition or Auxiliary || terms[at].Text is ":" or "：" or "the" or "named" or "called" or "叫" or "." or "dr" or "mr" or "mrs" or "ms" or "prof"))
            at++;
        return at < terms.Count && (terms[at].IsWide ? ChineseNames.BeginsWithSurname(terms[at].Text) && matches.IsForeign(at) : IsName(matches, at));
    }

    /// <summary>Whether the sentence names who did it: "by Ivo Petrov", 由刘强管理.</summary>
    private static bool IsAgent(Matches matches)
    {
        var terms = matches.Terms;
        for (var at = 0; at < terms.Count; at++)
        {
            if (terms[at].Text is not ("by" or "由" or "被"))
                continue;
            var next = at + 1;
            while (next < terms.Count && (terms[next].Kind is Function || terms[next].Text == "." || FunctionWords.IsTitle(terms, next)))
                next++;
            if (next < terms.Count && (terms[next].IsWide ? ChineseNames.BeginsWithSurname(terms[next].Text) && matches.IsForeign(next) : IsName(matches, next)))
                return true;
        }

        return false;
    }

    private static bool IsName(Matches matches, int at) => matches.Terms[at] is { Kind: Content, IsCapital: true } term && matches.IsForeign(at) && !AnswerForm.IsCalendar(term.Text);

    /// <summary>Whether the run of Chinese characters that ends at a place begins with a surname.</summary>
    private static bool IsWideName(IReadOnlyList<Term> terms, int at)
    {
        while (at > 0 && terms[at - 1] is { IsWide: true, Kind: Content })
            at--;
        return ChineseNames.BeginsWithSurname(terms[at].Text);
    }
}
