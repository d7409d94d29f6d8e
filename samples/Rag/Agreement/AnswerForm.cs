using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Whether a sentence says something of the kind that a question word asks for.</summary>
internal static class AnswerForm
{
    private static readonly HashSet<string> s_places = [.. "in at on near beside beneath under above over inside outside behind between opposite within to from 在 于 位于 从 到 自".Split(' ')];
    private static readonly HashSet<string> s_ways = [.. "by with using via through from 用 通过 由".Split(' ')];
    private static readonly HashSet<string> s_reasons = [.. "because since due so for to as 因为 由于".Split(' ')];
    private static readonly HashSet<string> s_calendar = [.. "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november december today tomorrow yesterday noon midnight spring summer autumn winter daily weekly monthly yearly day week month year century hour minute morning afternoon evening night weekend".Split(' ')];
    private static readonly HashSet<string> s_spans = [.. "day week month year hour minute second decade".Split(' ')];
    private static readonly HashSet<string> s_units = [.. "am pm o'clock 年 月 日 号 点 时".Split(' ')];
    private static readonly HashSet<string> s_whens = [.. "in since at from until by to on around about 自 从 到 于 在".Split(' ')];
    private static readonly HashSet<string> s_wideNumerals = [.. "一 二 两 三 四 五 六 七 八 九 十 百 千 万".Split(' ')];

    /// <param name="question">The question.</param>
    /// <param name="matches">The sentence.</param>
    /// <param name="window">The question's phrase in the sentence; the answer stands outside of it, or is a figure inside.</param>
    public static bool Fits(AskedQuestion question, Matches matches, Range window)
    {
        var terms = matches.Terms;
        var said = Enumerable.Range(0, terms.Count).Where(at => matches.IsForeign(at) && terms[at].Text.Length > 0).ToArray();
        if (question.Wanted == AnswerKind.YesOrNo)
            return true;
        if (said.Length == 0 || (question.AsksForValue && !StatedValue.IsSaid(question, matches, window)))
            return false;
        return question.Wanted switch
        {
            AnswerKind.Time => said.Any(at => IsTime(terms, at)),
            AnswerKind.Quantity => said.Any(at => IsNumber(terms[at]) && IsAmount(matches, at, window)),
            AnswerKind.Place => IsPlace(question, matches, window),
            AnswerKind.Person => PersonForm.IsNamed(question, matches, window),
            AnswerKind.Reason => Follows(matches, s_reasons, (_, at) => matches.IsForeign(at)),
            AnswerKind.Way => Follows(matches, s_ways, (_, at) => matches.IsForeign(at)),
            _ => true,
        };
    }

    /// <summary>A name of the calendar, singular or plural, or a word such as "daily".</summary>
    public static bool IsCalendar(string word) => s_calendar.Contains(word) || (word.EndsWith('s') && s_calendar.Contains(word[..^1]));

    private static bool IsSpan(string word) => s_spans.Contains(word) || (word.EndsWith('s') && s_spans.Contains(word[..^1]));

    private static bool IsNumber(Term term) => term.Kind == Number || s_wideNumerals.Contains(term.Text);

    /// <summary>A name of the calendar, a time of day, a year, or a figure that a preposition makes a time: "at 9", but not "for 9 euros"
    /// and not "in 9 months", which is a duration.</summary>
    private static bool IsTime(IReadOnlyList<Term> terms, int at)
    {
        if (terms[at].Kind != Number)
            return IsCalendar(terms[at].Text) && !(IsSpan(terms[at].Text) && at > 0 && IsNumber(terms[at - 1]));
        var next = at + 1 < terms.Count ? terms[at + 1] : default;
        var isYear = terms[at].Text is [>= '1' and <= '2', _, _, _] year && year.All(char.IsAsciiDigit);
        if (next.Text is "年")
            return isYear;
        // 3号楼 is a building; 5月3号 is a day.
        if (next.Text is "号" or "日")
            return at > 0 && terms[at - 1].Text == "月";
        if (terms[at].Text.Contains(':', StringComparison.Ordinal) || (next.Text is not null && (s_units.Contains(next.Text) || (IsCalendar(next.Text) && !IsSpan(next.Text)))))
            return true;
        var isBare = next.Kind != Content || next.Text is null;
        return isBare && (isYear || (at > 0 && s_whens.Contains(terms[at - 1].Text)));
    }

    /// <summary>Whether a figure is the amount of the counted or measured thing: it stands before its noun ("3 fresh eggs", "250 grams of
    /// sugar", 12节车厢), right after the phrase, or inside it. "rooms since 1990" counts no rooms.</summary>
    private static bool IsAmount(Matches matches, int at, Range window)
    {
        var terms = matches.Terms;
        if (at >= window.Start.Value && at < window.End.Value)
            return true;
        var next = at + 1;
        while (next < terms.Count && next <= at + 4 && !matches.IsMatched(next) && (terms[next].HasSubstance || terms[next].Kind is Possessive or Function))
            next++;
        if (next < terms.Count && matches.IsMatched(next))
            return true;
        var before = at - 1;
        while (before >= window.End.Value && (terms[before].Kind is Function or Be or Auxiliary or Possessive || terms[before].Text is ":" or "：" or "about" or "around" or "over" or "minus" or "only" or "(" || terms[before].IsWide))
            before--;
        return before < window.End.Value;
    }

    private static bool IsPlace(AskedQuestion question, Matches matches, Range window)
    {
        if (question.AsksForValue || StatedValue.BeBefore(matches.Terms, window.Start.Value) > 0)
            return true;
        // "from" and "to" name places only for things that move.
        var moves = question.Stranded is "from" or "to" || question.HasVerb || question.Words.Any(word => word.IsWide);
        return Follows(matches, s_places, (place, at) => matches.Terms[at].Kind == Content && !IsTime(matches.Terms, at) && (moves || matches.Terms[place].Text is not ("from" or "to")) && IsDefinite(matches.Terms, place, at));
    }

    /// <summary>Whether the words name a definite place: "in the hall", "in Oslo", "in room 4", but not "in silence".</summary>
    private static bool IsDefinite(IReadOnlyList<Term> terms, int preposition, int at)
    {
        if (terms[at].IsWide || terms[at].IsCapital || Enumerable.Range(preposition + 1, at - preposition - 1).Any(between => terms[between].Kind is Function or Pronoun or Number))
            return true;
        return at + 1 < terms.Count && (terms[at + 1].Kind == Number || terms[at + 1].IsCapital || terms[at + 1].Text == "of") || !terms.Any(term => term.IsCapital);
    }

    /// <summary>Whether something that is not in the question follows one of the given words, with only function words between.</summary>
    private static bool Follows(Matches matches, HashSet<string> words, Func<int, int, bool> isAnswer)
    {
        for (var at = 0; at < matches.Terms.Count; at++)
        {
            if (!words.Contains(matches.Terms[at].Text))
                continue;
            var next = at + 1;
            while (next < matches.Terms.Count && !matches.Terms[next].HasSubstance && matches.Terms[next].Kind is not TermKind.Break)
                next++;
            if (next < matches.Terms.Count && matches.IsForeign(next) && isAnswer(at, next))
                return true;
        }

        return false;
    }
}
