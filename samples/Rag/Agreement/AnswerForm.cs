using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Whether a sentence says something of the kind that a question word asks for.</summary>
internal static class AnswerForm
{
    private static readonly HashSet<string> s_places = [.. "in at on near beside beneath under above over inside outside behind between opposite within to from 在 于 位于 从 到".Split(' ')];
    private static readonly HashSet<string> s_reasons = [.. "because since due so for to as 因为 由于".Split(' ')];
    private static readonly HashSet<string> s_ways = [.. "by with using via through from 用 通过 由".Split(' ')];
    private static readonly HashSet<string> s_calendar = [.. "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november december today tomorrow yesterday noon midnight spring summer autumn winter daily weekly monthly yearly".Split(' ')];
    private static readonly HashSet<string> s_numerals = [.. "zero one two three four five six seven eight nine ten eleven twelve dozen hundred thousand million 一 二 两 三 四 五 六 七 八 九 十 百 千 万".Split(' ')];

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
            AnswerKind.Time => said.Any(at => terms[at].Kind == Number || IsCalendar(terms[at].Text)),
            AnswerKind.Quantity => said.Any(at => terms[at].Kind == Number || s_numerals.Contains(terms[at].Text)),
            AnswerKind.Place => Follows(matches, s_places),
            AnswerKind.Person => said.Any(at => terms[at].IsCapital || terms[at].IsWide),
            AnswerKind.Reason => Follows(matches, s_reasons),
            AnswerKind.Way => Follows(matches, s_ways),
            _ => true,
        };
    }

    private static bool IsCalendar(string word) => s_calendar.Contains(word) || (word.EndsWith('s') && s_calendar.Contains(word[..^1]));

    /// <summary>Whether something that the question does not say stands behind one of some words.</summary>
    private static bool Follows(Matches matches, HashSet<string> words) =>
        Enumerable.Range(0, matches.Terms.Count).Any(at => words.Contains(matches.Terms[at].Text) && Enumerable.Range(at + 1, matches.Terms.Count - at - 1).Any(matches.IsForeign));
}
