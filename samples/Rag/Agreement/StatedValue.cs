using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>
/// Whether a sentence says what something is. "is", a colon or the figure itself must follow directly, or "is" must precede ("Hugo is the
/// son of Ines"). "The price was discussed", "can be changed" and "has risen" only say something about it.
/// </summary>
internal static class StatedValue
{
    private static readonly HashSet<string> s_participles = [.. "known unknown given shown seen found kept hidden secret set written told".Split(' ')];
    private static readonly HashSet<string> s_naming = [.. "called named limited priced".Split(' ')];
    private static readonly HashSet<string> s_wideVerbs = [.. "叫 达 约 共".Split(' ')];

    public static bool IsSaid(AskedQuestion question, Matches matches, Range window)
    {
        var (first, end) = (window.Start.Value, window.End.Value);
        var terms = matches.Terms;
        return PhraseInside.HasFigure(matches, first, end) || BeBefore(terms, first) >= 0 || IsBehind(question, matches, end);
    }

    /// <summary>The place of a form of "to be" right before a phrase, if something of substance precedes it; -1: none.</summary>
    public static int BeBefore(IReadOnlyList<Term> terms, int first)
    {
        var at = first - 1;
        while (at >= 0 && terms[at].Kind == Function)
            at--;
        return at > 0 && terms[at].Kind == Be && terms[at - 1].HasSubstance ? at : -1;
    }

    private static bool IsBehind(AskedQuestion question, Matches matches, int end)
    {
        var terms = matches.Terms;
        var at = end;
        while (at < terms.Count && (terms[at].Kind == Function || PhraseEnd.IsRoughly(terms[at])))
            at++;
        // "Price (new): 415"
        if (at < terms.Count && terms[at].Text is "(" or "（" && Enumerable.Range(at, terms.Count - at).FirstOrDefault(close => terms[close].Text is ")" or "）", -1) is > 0 and var closed)
            at = closed + 1;
        // "of the Marble motor and the Granite motor is 400 volts", "of Garage 7 in Turin is 300 euros"
        if (at < terms.Count && (terms[at].Kind == Conjunction || (terms[at].Text is "in" or "at" or "on" && at + 1 < terms.Count && terms[at + 1].IsCapital && !AnswerForm.IsCalendar(terms[at + 1].Text))))
            at = Enumerable.Range(at, terms.Count - at).FirstOrDefault(be => terms[be].Kind is Be or Break, terms.Count);
        if (at >= terms.Count)
            return false;
        var term = terms[at];
        if (term.Kind == Number || (term.Kind == Possessive && at + 1 < terms.Count && terms[at + 1].Kind == Number))
            return true;
        if (term.Kind == Break)
            return term.Text is ":" or "：" or "-" or "–" or "—" && terms.Skip(at).Any(behind => behind.HasSubstance);
        if (term.IsWide && s_wideVerbs.Contains(term.Text))
            return true;
        return term.Kind == Be && !(question.IsPresent && term.Text is "was" or "were") && IsValue(matches, at + 1);
    }

    /// <summary>Whether something new follows "is" directly and is not a participle alone: "is blue", "is in room 4", but not "is
    /// known".</summary>
    private static bool IsValue(Matches matches, int at)
    {
        var terms = matches.Terms;
        while (at < terms.Count && terms[at].Kind is Function or Preposition)
            at++;
        if (at == terms.Count || !matches.IsForeign(at))
            return false;
        var isParticiple = terms[at] is { Kind: Content, IsWide: false, IsCapital: false } word && !s_naming.Contains(word.Text)
            && (s_participles.Contains(word.Text) || (word.Text.Length > 4 && word.Text.EndsWith("ed", StringComparison.Ordinal)));
        return !isParticiple;
    }
}
