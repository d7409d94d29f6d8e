using System.Text;

namespace LocalLlm.Samples.Rag.Chunking;

/// <summary>Whether texts say the same in the same words, whatever their punctuation and capitals.</summary>
internal static class Wording
{
    /// <summary>Letters and digits in small form, one space between words.</summary>
    public static string Normalized(string text)
    {
        var normalized = new StringBuilder(text.Length);
        foreach (var c in text.Normalize(NormalizationForm.FormKC))
        {
            if (char.IsLetterOrDigit(c) || char.IsSurrogate(c))
                normalized.Append(char.ToLowerInvariant(c));
            else if (normalized.Length > 0 && normalized[^1] != ' ')
                normalized.Append(' ');
        }

        return normalized.ToString().TrimEnd();
    }

    /// <summary>Whether a text has some words in a row; whole ones, where words have spaces between them.</summary>
    public static bool Contains(string text, string words)
    {
        var (all, some) = (Normalized(text), Normalized(words));
        return some.Length > 0 && ($" {all} ".Contains($" {some} ", StringComparison.Ordinal) || (some[0] >= '\u3400' && all.Contains(some, StringComparison.Ordinal)));
    }
}
