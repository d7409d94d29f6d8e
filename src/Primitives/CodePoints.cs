using System.Globalization;
using System.Text;

namespace LocalLlm.Primitives;

/// <summary>
/// Unicode properties by code point. .NET's regular expressions see UTF-16 units, and would not recognize a letter beyond U+FFFF. All code
/// that splits text uses this class instead.
/// </summary>
public static class CodePoints
{
    /// <summary>The last code point.</summary>
    public const int Last = 0x10FFFF;

    /// <summary>The general categories of Letter, one bit each.</summary>
    public const uint Letter = 1u << (int)UnicodeCategory.UppercaseLetter | 1u << (int)UnicodeCategory.LowercaseLetter
        | 1u << (int)UnicodeCategory.TitlecaseLetter | 1u << (int)UnicodeCategory.ModifierLetter | 1u << (int)UnicodeCategory.OtherLetter;

    /// <summary>The general categories of Mark, one bit each.</summary>
    public const uint Mark = 1u << (int)UnicodeCategory.NonSpacingMark | 1u << (int)UnicodeCategory.SpacingCombiningMark
        | 1u << (int)UnicodeCategory.EnclosingMark;

    /// <summary>The general categories of Number, one bit each.</summary>
    public const uint Number = 1u << (int)UnicodeCategory.DecimalDigitNumber | 1u << (int)UnicodeCategory.LetterNumber
        | 1u << (int)UnicodeCategory.OtherNumber;

    /// <summary>The general categories of Punctuation, one bit each.</summary>
    public const uint Punctuation = 1u << (int)UnicodeCategory.ConnectorPunctuation | 1u << (int)UnicodeCategory.DashPunctuation
        | 1u << (int)UnicodeCategory.OpenPunctuation | 1u << (int)UnicodeCategory.ClosePunctuation
        | 1u << (int)UnicodeCategory.InitialQuotePunctuation | 1u << (int)UnicodeCategory.FinalQuotePunctuation
        | 1u << (int)UnicodeCategory.OtherPunctuation;

    /// <summary>The general categories of Symbol, one bit each.</summary>
    public const uint Symbol = 1u << (int)UnicodeCategory.MathSymbol | 1u << (int)UnicodeCategory.CurrencySymbol
        | 1u << (int)UnicodeCategory.ModifierSymbol | 1u << (int)UnicodeCategory.OtherSymbol;

    /// <summary>The general categories of Separator, one bit each.</summary>
    public const uint Separator = 1u << (int)UnicodeCategory.SpaceSeparator | 1u << (int)UnicodeCategory.LineSeparator
        | 1u << (int)UnicodeCategory.ParagraphSeparator;

    /// <summary>The general categories of Other, one bit each.</summary>
    public const uint Other = 1u << (int)UnicodeCategory.Control | 1u << (int)UnicodeCategory.Format
        | 1u << (int)UnicodeCategory.Surrogate | 1u << (int)UnicodeCategory.PrivateUse | 1u << (int)UnicodeCategory.OtherNotAssigned;

    private static readonly byte[] BasicPlane = Enumerable.Range(0, 0x10000)
        .Select(codePoint => (byte)CharUnicodeInfo.GetUnicodeCategory(codePoint)).ToArray();

    /// <summary>The code point at <paramref name="index"/> and its width in UTF-16 units; a lone surrogate is itself.</summary>
    /// <param name="text">The text.</param>
    /// <param name="index">The index of its first UTF-16 unit.</param>
    /// <param name="width">1 or 2.</param>
    public static int At(ReadOnlySpan<char> text, int index, out int width)
    {
        var first = text[index];
        if (char.IsHighSurrogate(first) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
        {
            width = 2;
            return char.ConvertToUtf32(first, text[index + 1]);
        }

        width = 1;
        return first;
    }

    /// <summary>The code point that ends right before <paramref name="index"/>.</summary>
    /// <param name="text">The text.</param>
    /// <param name="index">An index above 0.</param>
    public static int Before(ReadOnlySpan<char> text, int index)
    {
        var last = text[index - 1];
        return char.IsLowSurrogate(last) && index >= 2 && char.IsHighSurrogate(text[index - 2])
            ? char.ConvertToUtf32(text[index - 2], last)
            : last;
    }

    /// <summary>The general category of a code point.</summary>
    /// <param name="codePoint">The code point.</param>
    public static UnicodeCategory Category(int codePoint) =>
        codePoint < 0x10000 ? (UnicodeCategory)BasicPlane[codePoint] : CharUnicodeInfo.GetUnicodeCategory(codePoint);

    /// <summary>Whether the code point's general category is one of <paramref name="categories"/> (bits by category).</summary>
    /// <param name="codePoint">The code point.</param>
    /// <param name="categories">The categories.</param>
    public static bool Is(int codePoint, uint categories) => (categories >> (int)Category(codePoint) & 1) != 0;

    /// <summary>The Unicode property White_Space, the meaning of <c>\s</c> in the reference implementation.</summary>
    /// <param name="codePoint">The code point.</param>
    public static bool IsSpace(int codePoint) => codePoint switch
    {
        <= 0x20 => codePoint is 0x20 or (>= 0x09 and <= 0x0D),
        < 0x1680 => codePoint is 0x85 or 0xA0,
        _ => codePoint is 0x1680 or (>= 0x2000 and <= 0x200A) or 0x2028 or 0x2029 or 0x202F or 0x205F or 0x3000,
    };

    /// <summary>A word character, <c>\w</c> of Unicode's regular expressions: alphabetic, mark, decimal digit, connector, joiner.</summary>
    /// <param name="codePoint">The code point.</param>
    public static bool IsWord(int codePoint) =>
        Is(codePoint, Letter | Mark | 1u << (int)UnicodeCategory.DecimalDigitNumber | 1u << (int)UnicodeCategory.LetterNumber
            | 1u << (int)UnicodeCategory.ConnectorPunctuation)
        || codePoint is 0x200C or 0x200D or (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149)
            or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189);

    /// <summary>The representative of all code points that differ only in case (simple case folding).</summary>
    /// <param name="codePoint">The code point.</param>
    public static int Fold(int codePoint) => codePoint switch
    {
        < 0x80 => codePoint is >= 'A' and <= 'Z' ? codePoint | 0x20 : codePoint,
        0x17F => 's',
        0x212A => 'k',
        >= 0xD800 and <= 0xDFFF => codePoint,
        _ => Rune.ToLowerInvariant(Rune.ToUpperInvariant(new Rune(codePoint))).Value,
    };

    /// <summary>Replaces every lone surrogate by U+FFFD, as encoding to UTF-8 does.</summary>
    /// <param name="text">The text.</param>
    public static string ReplaceLoneSurrogates(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var index = FirstLoneSurrogate(text);
        if (index < 0)
            return text;
        return string.Create(text.Length, text, static (result, source) =>
        {
            source.CopyTo(result);
            for (var i = 0; i < result.Length; i++)
            {
                if (!char.IsSurrogate(result[i]))
                    continue;
                if (char.IsHighSurrogate(result[i]) && i + 1 < result.Length && char.IsLowSurrogate(result[i + 1]))
                    i++;
                else
                    result[i] = '\uFFFD';
            }
        });
    }

    private static int FirstLoneSurrogate(ReadOnlySpan<char> text)
    {
        var at = 0;
        while (true)
        {
            var step = text[at..].IndexOfAnyInRange('\uD800', '\uDFFF');
            if (step < 0)
                return -1;
            at += step;
            if (!char.IsHighSurrogate(text[at]) || at + 1 == text.Length || !char.IsLowSurrogate(text[at + 1]))
                return at;
            at += 2;
        }
    }
}
