using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>
/// The closed classes (and numerals) of English and Chinese words: they carry grammar, not content, and hardly any are ever added to a language. Negations and comparisons ("not", "without", "more", 不) are left out on purpose: they change
/// what is said, so they count as content. Every word of another language is content, which makes the check stricter, never looser.
/// </summary>
internal static class FunctionWords
{
    private const int LongestWidePhrase = 4;

    // The others say where something is, which a question may be about.
    private static readonly HashSet<string> s_lightPrepositions = [.. "for in on at with from to by about as per into onto".Split(' ')];

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
        (Function, "了 吗 呢 啊 吧 请 请问 告诉 我 我们 您 你 这 那 这个 那个 该 此 也 都 将 被 把 得 地 着"));

    /// <summary>Whether a preposition says little by itself: a question for what is "under" something is not answered by what is "in" it.</summary>
    public static bool IsLight(string preposition) => s_lightPrepositions.Contains(preposition);

    public static TermKind KindOf(string word) => s_kinds.GetValueOrDefault(word, Content);

    /// <summary>The longest function word of a script without spaces that begins at a place; null: none does.</summary>
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
