namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Whether a text denies something. English has a closed class of such words; Chinese has characters of denial, except
/// in a few words where they deny nothing.</summary>
internal static class Negation
{
    private static readonly HashSet<string> s_words = [.. "not never no none nobody nothing nowhere neither nor cannot without hardly barely scarcely false wrong untrue incorrect".Split(' ')];
    private static readonly string[] s_wide = ["不", "没", "未", "无人", "无法", "并非", "并无", "毫无", "从无", "绝非", "勿", "莫"];
    private static readonly string[] s_wideHarmless = ["不锈钢", "不锈", "未来", "无人机", "无人车", "没收", "莫斯科"];

    public static bool IsIn(IReadOnlyList<Term> terms) => terms.Any(term => !term.IsWide && IsNegative(term.Text)) || IsInWide(string.Concat(terms.Where(term => term.IsWide).Select(term => term.Text)));

    private static bool IsNegative(string word) => s_words.Contains(word) || word.EndsWith("n't", StringComparison.Ordinal);

    private static bool IsInWide(string text)
    {
        foreach (var harmless in s_wideHarmless)
            text = text.Replace(harmless, "", StringComparison.Ordinal);
        return s_wide.Any(word => text.Contains(word, StringComparison.Ordinal));
    }
}
