using System.Text;

namespace LocalLlm.Samples.Rag.Chunking;

/// <summary>Compares the words of texts, whatever their punctuation and capitals.</summary>
internal static class Wording
{
    private const char MinusSign = '\u2212';

    /// <summary>
    /// Letters and digits in lower case, with one space between words. A number keeps its sign and its decimal point: 2.5 is not 5, and
    /// neither is -5.
    /// </summary>
    public static string Normalized(string text)
    {
        var normalized = new StringBuilder(text.Length);
        var plain = text.Normalize(NormalizationForm.FormKC);
        for (var i = 0; i < plain.Length; i++)
        {
            var c = plain[i];
            if (char.IsLetterOrDigit(c) || char.IsSurrogate(c))
                normalized.Append(char.ToLowerInvariant(c));
            else if (IsPartOfNumber(plain, i))
                normalized.Append(c == MinusSign ? '-' : c);
            else if (normalized.Length > 0 && normalized[^1] != ' ')
                normalized.Append(' ');
        }

        return normalized.ToString().TrimEnd();
    }

    /// <summary>Whether a text has the given words in a row, as whole words in scripts with spaces between words.</summary>
    public static bool Contains(string text, string words)
    {
        var (all, some) = (Normalized(text), Normalized(words));
        if (some.Length == 0)
            return false;
        for (var at = all.IndexOf(some, StringComparison.Ordinal); at >= 0; at = all.IndexOf(some, at + 1, StringComparison.Ordinal))
        {
            if (IsBorder(all, at) && IsBorder(all, at + some.Length))
                return true;
        }

        return false;
    }

    private static bool IsPartOfNumber(string text, int i)
    {
        if (i + 1 == text.Length || !char.IsDigit(text[i + 1]))
            return false;
        return text[i] is '-' or MinusSign ? i == 0 || char.IsWhiteSpace(text[i - 1]) || text[i - 1] is '(' or '[' : text[i] is '.' or ',' && i > 0 && char.IsDigit(text[i - 1]);
    }

    private static bool IsBorder(string text, int at) =>
        at == 0 || at == text.Length || text[at - 1] == ' ' || text[at] == ' ' || IsWide(text[at - 1]) || IsWide(text[at]);

    // Chinese, Japanese and Korean.
    private static bool IsWide(char c) => c is >= '\u3040' and <= '\u9FFF' or >= '\uAC00' and <= '\uD7AF';
}
