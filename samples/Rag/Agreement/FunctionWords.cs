using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>
/// The closed classes of English and Chinese words, and numerals: they carry grammar, not content, and languages hardly ever add new ones.
/// Negations and comparisons ("not", "without", "more", 不) are left out on purpose: they change what is said, so they count as content.
/// Every word of another language counts as content, which makes the check stricter, never looser.
/// </summary>
internal static class FunctionWords
{
    private const int LongestWidePhrase = 4;

    // All other prepositions say where something is, which a question may be about.
    private static readonly HashSet<string> s_lightPrepositions = [.. "for in on at with from to by about as per into onto".Split(' ')];

    private static readonly HashSet<string> s_titles = [.. "mr mrs ms miss dr prof professor sir".Split(' ')];

    private static readonly HashSet<string> s_wideWords = [.. (
        "有限 有色 有机 有关 有效 有名 有线 有轨 有趣 有害 有毒 国有 私有 所有 拥有 从事 到达 达到 迟到 收到 得到 找到 到期 到货 使用 用户 费用 用途 用电 用水 应用 用品 信用 专用 用料 用量 作用 录用 租用 自由 理由 存在 了解 酒吧 网吧 "
        + "请假 申请 邀请 聘请 茶几 几何 目的 的士 的确 参与 涉及 普及 埃及 及格 和平 和谐 共和 总和 温和 饱和 和尚 将军 大将 麻将 首都 成都 都市 行为 认为 作为 成为 华为 之间 因此 此外 那么 其他 吉他 这里 那里 对于 关于 于是 但是").Split(' ')];

    private static readonly Dictionary<string, TermKind> s_kinds = Kinds(
        (Be, "is are was were be been being am 's"),
        (Auxiliary, "has have had having do does did can could must shall should will would may might"),
        (Preposition, "for in on at with from to by near beside beneath under above over inside outside behind between among through via during since until into onto about as per around within opposite"),
        (Possessive, "of"),
        (Conjunction, "and or but while whereas nor because"),
        (Pronoun, "it its they them their theirs he him his she her hers"),
        (Number, "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million dozen"),
        (Interrogative, "what which who whom whose where when why how"),
        (Function, "the a an this that these those there here i me my you your we us our please all every each any some much many also so than then just exactly currently"));

    private static readonly Dictionary<string, TermKind> s_wideKinds = Kinds(
        (Be, "是 为"),
        (Auxiliary, "有 必须 应该 应当 可以 能够"),
        (Preposition, "在 于 位于 从 到 由 用 通过 因为 由于 自从 自"),
        (Possessive, "的 之"),
        (Conjunction, "和 与 及 以及 或 而 、"),
        (Pronoun, "它 它们 他 他们 她 她们"),
        (Interrogative, "什么 多少 几 哪 哪个 哪些 哪里 哪儿 哪年 哪一年 哪天 何处 何时 什么时候 几点 几时 多久 什么地方 谁 怎么 怎样 如何 为什么 为何"),
        (Function, "了 吗 呢 啊 吧 请 请问 告诉 我 我们 您 你 这 那 这个 那个 该 此 也 都 将 被"));

    /// <summary>Whether a preposition says little by itself, unlike "under": what is "in" something does not answer what is "under"
    /// it.</summary>
    public static bool IsLight(string preposition) => s_lightPrepositions.Contains(preposition);

    public static TermKind KindOf(string word) => s_kinds.GetValueOrDefault(word, Content);

    /// <summary>Whether a person's title stands at a place, before a name: "Dr. Anna Schmidt" is Anna Schmidt.</summary>
    public static bool IsTitle(IReadOnlyList<Term> terms, int at) => terms[at].IsCapital && s_titles.Contains(terms[at].Text) && at + 1 < terms.Count;

    /// <summary>Whether a content word of two characters begins at a place, one of which alone is often a function word: 和平, 地图,
    /// 吉他.</summary>
    public static bool IsWideWordAt(string text, int at) => at + 1 < text.Length && s_wideWords.Contains(text.Substring(at, 2));

    /// <summary>
    /// Whether a character that can be a function word is one at its place. A conjunction needs something before it, and a pronoun has no
    /// noun directly before it (吉他); some characters are function words only before certain others: 都在, 将由, 为8.
    /// </summary>
    /// <param name="text">The whole text.</param>
    /// <param name="at">Where the character stands.</param>
    /// <param name="contentBefore">How many content characters stand directly before it.</param>
    public static bool IsGrammar(string text, int at, int contentBefore)
    {
        var next = at + 1 < text.Length ? text[at + 1] : '\0';
        return text[at] switch
        {
            '它' or '他' or '她' => contentBefore == 0,
            '和' or '与' or '及' or '或' => contentBefore > 0 || (at > 0 && char.IsLetterOrDigit(text[at - 1]) && !TermReader.IsWide(text[at - 1])),
            '都' => contentBefore > 1 && next is '是' or '在' or '有' or '由' or '于',
            '将' => next is '在' or '于' or '由' or '被',
            '为' => char.IsDigit(next) || (contentBefore > 1 && next != '的') || WideAt(text, at + 1) is (_, Interrogative),
            '自' => char.IsDigit(next),
            _ => true,
        };
    }

    /// <summary>The longest function word that begins at a place, of a script without spaces; null: none.</summary>
    public static (string Text, TermKind Kind)? WideAt(string text, int at)
    {
        for (var length = Math.Min(LongestWidePhrase, text.Length - at); length > 0; length--)
        {
            if (s_wideKinds.TryGetValue(text.Substring(at, length), out var kind))
                return (text.Substring(at, length), kind);
        }

        return null;
    }

    private static Dictionary<string, TermKind> Kinds(params (TermKind Kind, string Words)[] classes) =>
        classes.SelectMany(some => some.Words.Split(' '), (some, word) => (some.Kind, word)).ToDictionary(pair => pair.word, pair => pair.Kind);
}
