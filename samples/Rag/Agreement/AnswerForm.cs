using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Whether a sentence says something of the kind that a question word asks for.</summary>
internal static class AnswerForm
{
    private static readonly HashSet<string> s_places = [.. "in at on near beside beneath under above over inside outside behind between opposite within to from 在 于 位于 从 到".Split(' ')];
    private static readonly HashSet<string> s_reasons = [.. "because since due so for to as 因为 由于".Split(' ')];
    private static readonly HashSet<string> s_ways = [.. "by with using via through from 用 通过 由".Split(' ')];
    private static readonly HashSet<string> s_calendar = [.. "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november december today tomorrow yesterday noon midnight spring summer autumn winter daily weekly monthly yearly day week month year century hour minute morning afternoon evening night weekend".Split(' ')];
    private static readonly HashSet<string> s_units = [.. "am pm o'clock 年 月 日 号 点 时".Split(' ')];
    private static readonly HashSet<string> s_whens = [.. "in since at from until by to on around about 自 从 到 于 在".Split(' ')];
    private static readonly HashSet<string> s_wideNumerals = [.. "一 二 两 三 四 五 六 七 八 九 十 百 千 万".Split(' ')];

    /// <param name="question">What is asked.</param>
    /// <param name="matches">The sentence.</param>
    /// <param name="window">Where it has the question's phrase; the answer is outside of it, or a figure inside.</param>
    public static bool Fits(AskedQuestion question, Matches matches, Range window)
    {
        var terms = matches.Terms;
        var said = Enumerable.Range(0, terms.Count).Where(at => matches.IsForeign(at) && terms[at].Text.Length > 0).ToArray();
        if (question.Wanted == AnswerKind.YesOrNo)
            return true;
        if (said.Length == 0)
            return false;
        return question.Wanted switch
        {
            AnswerKind.Time => said.Any(at => IsTime(terms, at)),
            AnswerKind.Quantity => said.Any(at => terms[at].Kind == Number || s_wideNumerals.Contains(terms[at].Text)),
            AnswerKind.Place => Follows(matches, s_places, at => terms[at].Kind == Content && !IsTime(terms, at)),
            AnswerKind.Person => said.Any(at => terms[at].IsWide || (terms[at].IsCapital && (at < window.Start.Value || IsNamed(terms, at)))),
            AnswerKind.Reason => Follows(matches, s_reasons, matches.IsForeign),
            AnswerKind.Way => Follows(matches, s_ways, matches.IsForeign),
            _ => true,
        };
    }

    private static bool IsCalendar(string word) => s_calendar.Contains(word) || (word.EndsWith('s') && s_calendar.Contains(word[..^1]));

    /// <summary>A name of the calendar, a clock's time, a year, or a figure that a preposition puts into time: "at 9", but not "for 9 euros".</summary>
    private static bool IsTime(IReadOnlyList<Term> terms, int at)
    {
        if (terms[at].Kind != Number)
            return IsCalendar(terms[at].Text);
        var next = at + 1 < terms.Count ? terms[at + 1] : default;
        if (terms[at].Text.Contains(':', StringComparison.Ordinal) || (next.Text is not null && (s_units.Contains(next.Text) || IsCalendar(next.Text))))
            return true;
        var isBare = next.Kind != Content || next.Text is null;
        var isYear = terms[at].Text is [>= '1' and <= '2', _, _, _] year && year.All(char.IsAsciiDigit);
        return isBare && (isYear || (at > 0 && s_whens.Contains(terms[at - 1].Text)));
    }

    /// <summary>Whether a name stands behind "is", "by" or a colon, with nothing but its own words and articles between.</summary>
    private static bool IsNamed(IReadOnlyList<Term> terms, int at)
    {
        while (at > 0 && terms[at].Kind is Content or Function)
            at--;
        return terms[at].Kind == Be || terms[at].Text is "by" or ":";
    }

    /// <summary>Whether something that the question does not say stands behind one of some words, only grammar between.</summary>
    private static bool Follows(Matches matches, HashSet<string> words, Func<int, bool> isAnswer)
    {
        for (var at = 0; at < matches.Terms.Count; at++)
        {
            if (!words.Contains(matches.Terms[at].Text))
                continue;
            var next = at + 1;
            while (next < matches.Terms.Count && !matches.Terms[next].HasSubstance && matches.Terms[next].Kind is not TermKind.Break)
                next++;
            if (next < matches.Terms.Count && matches.IsForeign(next) && isAnswer(next))
                return true;
        }

        return false;
    }
}
