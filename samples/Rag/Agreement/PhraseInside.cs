using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Whether a sentence has the words of a question as one phrase, with nothing else between them.</summary>
internal static class PhraseInside
{
    private static readonly HashSet<string> s_wideTimes = [.. "年 月 日 号 点 时 分 半 每 天 周 星 期 上 下 午 早 晚 中".Split(' ')];

    /// <summary>Whether nothing of substance stands inside the phrase. Allowed are one figure with its unit ("a power of 67 watts on the
    /// turbine"), if no other clause begins, and the few forms below.</summary>
    public static bool IsWhole(AskedQuestion question, Matches matches, int first, int end)
    {
        var foreign = Enumerable.Range(first, end - first).Where(matches.IsForeign).ToArray();
        if (foreign.Length == 0 || HasFirstMeasure(matches, first, end) || IsCountedInside(question, matches, foreign))
            return true;
        if (IsWideAdverbial(question, matches, first, end))
            return true;
        // A number right after a word of the name is part of the name ("scanner 2"), but not after the verb ("needs 3 eggs").
        var isOfName = matches.Terms[foreign[0] - 1].HasSubstance && !(question.HasVerb && matches.Has(question.Words[^1], foreign[0] - 1));
        var isFigure = matches.Terms[foreign[0]].Kind == Number && !isOfName && foreign.Length <= 3 && foreign[^1] - foreign[0] == foreign.Length - 1 && foreign.Skip(1).All(at => matches.Terms[at].Kind == Content);
        return isFigure && Enumerable.Range(first, end - first).All(at => matches.Terms[at].Kind is not (Break or Conjunction));
    }

    /// <summary>Whether a figure stands inside the phrase, which then states its own value.</summary>
    public static bool HasFigure(Matches matches, int first, int end) => Enumerable.Range(first, end - first).Any(at => matches.IsForeign(at) && matches.Terms[at].Kind == Number);

    /// <summary>Whether another measure of the same thing stands before the one that is asked for: "The tower is 40 meters high and 12
    /// meters wide".</summary>
    private static bool HasFirstMeasure(Matches matches, int first, int end)
    {
        var terms = matches.Terms;
        var be = Enumerable.Range(first, end - first).FirstOrDefault(at => terms[at].Kind == Be, -1);
        if (be < 0 || Enumerable.Range(first, be - first).Any(matches.IsForeign))
            return false;
        // Each measure: a figure, its unit, its adjective.
        var at = be + 1;
        while (at + 2 < end && terms[at].Kind == Number && terms[at + 1].Kind == Content && terms[at + 2].Kind == Content)
        {
            if (at + 3 == end)
                return matches.IsMatched(at + 2);
            at += 3;
            if (terms[at].Kind is not (Conjunction or Break))
                return false;
            while (at < end && terms[at].Kind is Conjunction or Break)
                at++;
        }

        return false;
    }

    /// <summary>Whether the figure stands directly before the counted thing, with at most one measure word between: 会议室可以容纳40人.</summary>
    private static bool IsCountedInside(AskedQuestion question, Matches matches, int[] foreign)
    {
        var terms = matches.Terms;
        return question is { Wanted: AnswerKind.Quantity, Counted: { } counted } && foreign.Length <= 2 && terms[foreign[0]].Kind == Number && terms[foreign[0] - 1].IsWide
            && foreign[^1] - foreign[0] == foreign.Length - 1 && foreign[^1] + 1 < terms.Count && terms[foreign[^1] + 1].Text == counted && matches.IsMatched(foreign[^1] + 1);
    }

    /// <summary>Whether only times or agents stand inside, which precede the verb in Chinese: 图书馆每天9点开门, 食堂由刘强管理, 博物馆在1925年由赵宁建造.</summary>
    private static bool IsWideAdverbial(AskedQuestion question, Matches matches, int first, int end)
    {
        var terms = matches.Terms;
        if (question.Wanted is not (AnswerKind.Time or AnswerKind.Person) || !terms[first].IsWide)
            return false;
        var isBehindName = false;
        for (var at = first; at < end; at++)
        {
            isBehindName |= matches.IsForeign(at);
            if (!matches.IsForeign(at))
            {
                if (terms[at].Kind is Break or Conjunction or Be || (terms[at].Kind == Possessive && isBehindName))
                    return false;
                continue;
            }

            if (terms[at].Kind == Number || s_wideTimes.Contains(terms[at].Text))
                continue;
            // The agent's name extends from 由 or 被 to the verb.
            var agent = at;
            while (agent > first && matches.IsForeign(agent - 1) && terms[agent - 1].Kind == Content)
                agent--;
            if (terms[agent - 1].Text is not ("由" or "被"))
                return false;
        }

        return true;
    }
}
