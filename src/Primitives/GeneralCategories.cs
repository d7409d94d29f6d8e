using System.Globalization;

namespace LocalLlm.Primitives;

/// <summary>The names of general categories in <c>\p{…}</c>, and their bits.</summary>
internal static class GeneralCategories
{
    private static readonly Dictionary<string, uint> ByName = new(StringComparer.OrdinalIgnoreCase)
    {
        ["L"] = CodePoints.Letter, ["Letter"] = CodePoints.Letter,
        ["M"] = CodePoints.Mark, ["Mark"] = CodePoints.Mark,
        ["N"] = CodePoints.Number, ["Number"] = CodePoints.Number,
        ["P"] = CodePoints.Punctuation, ["Punctuation"] = CodePoints.Punctuation,
        ["S"] = CodePoints.Symbol, ["Symbol"] = CodePoints.Symbol,
        ["Z"] = CodePoints.Separator, ["Separator"] = CodePoints.Separator,
        ["C"] = CodePoints.Other, ["Other"] = CodePoints.Other,
        ["Lu"] = Bit(UnicodeCategory.UppercaseLetter), ["Ll"] = Bit(UnicodeCategory.LowercaseLetter),
        ["Lt"] = Bit(UnicodeCategory.TitlecaseLetter), ["Lm"] = Bit(UnicodeCategory.ModifierLetter),
        ["Lo"] = Bit(UnicodeCategory.OtherLetter), ["Mn"] = Bit(UnicodeCategory.NonSpacingMark),
        ["Mc"] = Bit(UnicodeCategory.SpacingCombiningMark), ["Me"] = Bit(UnicodeCategory.EnclosingMark),
        ["Nd"] = Bit(UnicodeCategory.DecimalDigitNumber), ["Nl"] = Bit(UnicodeCategory.LetterNumber),
        ["No"] = Bit(UnicodeCategory.OtherNumber), ["Pc"] = Bit(UnicodeCategory.ConnectorPunctuation),
        ["Pd"] = Bit(UnicodeCategory.DashPunctuation), ["Ps"] = Bit(UnicodeCategory.OpenPunctuation),
        ["Pe"] = Bit(UnicodeCategory.ClosePunctuation), ["Pi"] = Bit(UnicodeCategory.InitialQuotePunctuation),
        ["Pf"] = Bit(UnicodeCategory.FinalQuotePunctuation), ["Po"] = Bit(UnicodeCategory.OtherPunctuation),
        ["Sm"] = Bit(UnicodeCategory.MathSymbol), ["Sc"] = Bit(UnicodeCategory.CurrencySymbol),
        ["Sk"] = Bit(UnicodeCategory.ModifierSymbol), ["So"] = Bit(UnicodeCategory.OtherSymbol),
        ["Zs"] = Bit(UnicodeCategory.SpaceSeparator), ["Zl"] = Bit(UnicodeCategory.LineSeparator),
        ["Zp"] = Bit(UnicodeCategory.ParagraphSeparator), ["Cc"] = Bit(UnicodeCategory.Control),
        ["Cf"] = Bit(UnicodeCategory.Format), ["Co"] = Bit(UnicodeCategory.PrivateUse),
        ["Cs"] = Bit(UnicodeCategory.Surrogate), ["Cn"] = Bit(UnicodeCategory.OtherNotAssigned),
    };

    /// <summary>The categories of a name; null if the name is unknown.</summary>
    public static uint? Find(string name) => ByName.TryGetValue(name, out var categories) ? categories : null;

    private static uint Bit(UnicodeCategory category) => 1u << (int)category;
}
