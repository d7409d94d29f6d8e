using System.Globalization;
using System.Text;

namespace LocalLlm.Jinja.Values;

/// <summary>Unicode's full case mapping; .NET's invariant culture has only the simple one.</summary>
internal static class PyCasing
{
    // Characters whose uppercase is several characters or otherwise special: code=code,code (Unicode SpecialCasing).
    private const string SpecialUpper =
        "df=53,53 131=49 149=2bc,4e 1f0=4a,30c 390=399,308,301 3b0=3a5,308,301 587=535,552 1e96=48,331 1e97=54,308 1e98=57,30a " +
        "1e99=59,30a 1e9a=41,2be 1f50=3a5,313 1f52=3a5,313,300 1f54=3a5,313,301 1f56=3a5,313,342 1f80=1f08,399 1f81=1f09,399 " +
        "1f82=1f0a,399 1f83=1f0b,399 1f84=1f0c,399 1f85=1f0d,399 1f86=1f0e,399 1f87=1f0f,399 1f88=1f08,399 1f89=1f09,399 " +
        "1f8a=1f0a,399 1f8b=1f0b,399 1f8c=1f0c,399 1f8d=1f0d,399 1f8e=1f0e,399 1f8f=1f0f,399 1f90=1f28,399 1f91=1f29,399 " +
        "1f92=1f2a,399 1f93=1f2b,399 1f94=1f2c,399 1f95=1f2d,399 1f96=1f2e,399 1f97=1f2f,399 1f98=1f28,399 1f99=1f29,399 " +
        "1f9a=1f2a,399 1f9b=1f2b,399 1f9c=1f2c,399 1f9d=1f2d,399 1f9e=1f2e,399 1f9f=1f2f,399 1fa0=1f68,399 1fa1=1f69,399 " +
        "1fa2=1f6a,399 1fa3=1f6b,399 1fa4=1f6c,399 1fa5=1f6d,399 1fa6=1f6e,399 1fa7=1f6f,399 1fa8=1f68,399 1fa9=1f69,399 " +
        "1faa=1f6a,399 1fab=1f6b,399 1fac=1f6c,399 1fad=1f6d,399 1fae=1f6e,399 1faf=1f6f,399 1fb2=1fba,399 1fb3=391,399 " +
        "1fb4=386,399 1fb6=391,342 1fb7=391,342,399 1fbc=391,399 1fc2=1fca,399 1fc3=397,399 1fc4=389,399 1fc6=397,342 " +
        "1fc7=397,342,399 1fcc=397,399 1fd2=399,308,300 1fd3=399,308,301 1fd6=399,342 1fd7=399,308,342 1fe2=3a5,308,300 " +
        "1fe3=3a5,308,301 1fe4=3a1,313 1fe6=3a5,342 1fe7=3a5,308,342 1ff2=1ffa,399 1ff3=3a9,399 1ff4=38f,399 1ff6=3a9,342 " +
        "1ff7=3a9,342,399 1ffc=3a9,399 fb00=46,46 fb01=46,49 fb02=46,4c fb03=46,46,49 fb04=46,46,4c fb05=53,54 fb06=53,54 " +
        "fb13=544,546 fb14=544,535 fb15=544,53b fb16=54e,546 fb17=544,53d ";

    private static readonly Dictionary<int, string> Special = SpecialUpper.Split(' ', StringSplitOptions.RemoveEmptyEntries)
        .Select(entry => entry.Split('='))
        .ToDictionary(pair => Code(pair[0]), pair => string.Concat(pair[1].Split(',').Select(code => char.ConvertFromUtf32(Code(code)))));

    public static string Upper(string text) =>
        Ascii.IsValid(text) ? text.ToUpperInvariant() : Map(text, rune => Special.GetValueOrDefault(rune.Value) ?? Simple(rune));

    public static string Lower(string text)
    {
        if (Ascii.IsValid(text))
            return text.ToLowerInvariant();
        var result = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\u0130')
                result.Append("i\u0307");
            else if (text[i] == '\u03A3')
                result.Append(IsFinalSigma(text, i) ? '\u03C2' : '\u03C3');
            else if (char.IsSurrogatePair(text, i))
                result.Append(text.Substring(i++, 2).ToLowerInvariant());
            else
                result.Append(char.ToLowerInvariant(text[i]));
        }

        return result.ToString();
    }

    /// <summary>The first character in title case, the rest in lower case.</summary>
    public static string Capitalize(string text)
    {
        if (text.Length == 0)
            return text;
        var first = PyText.At(text, 0);
        var lower = Lower(text);
        return TitleCharacter(first) + lower[Lower(first).Length..];
    }

    /// <summary>Every run of letters capitalised.</summary>
    public static string Title(string text)
    {
        var result = new StringBuilder(text.Length);
        var lower = Lower(text);
        var inWord = false;
        var offset = 0;
        for (var i = 0; i < text.Length; i++)
        {
            // Only this character has a lower case of another length.
            var width = text[i] == '\u0130' ? 2 : char.IsSurrogatePair(text, i) ? 2 : 1;
            result.Append(inWord ? lower.AsSpan(offset, width) : TitleCharacter(PyText.At(text, i)));
            inWord = IsCased(text, i);
            offset += width;
            i += char.IsSurrogatePair(text, i) ? 1 : 0;
        }

        return result.ToString();
    }

    public static bool IsCased(string text, int index) => CharUnicodeInfo.GetUnicodeCategory(text, index)
        is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter;

    private static string TitleCharacter(string character) => character[0] switch
    {
        '\u01C4' or '\u01C5' or '\u01C6' => "\u01C5",
        '\u01C7' or '\u01C8' or '\u01C9' => "\u01C8",
        '\u01CA' or '\u01CB' or '\u01CC' => "\u01CB",
        '\u01F1' or '\u01F2' or '\u01F3' => "\u01F2",
        // Georgian letters have capitals but no title case.
        >= '\u10D0' and <= '\u10FF' => character,
        >= '\u1F88' and <= '\u1FFC' when CharUnicodeInfo.GetUnicodeCategory(character, 0) == UnicodeCategory.TitlecaseLetter => character,
        _ => Simple(Rune.GetRuneAt(character, 0)) is var simple && simple == character
            && Special.TryGetValue(Rune.GetRuneAt(character, 0).Value, out var full) ? full[0] + Lower(full[1..]) : simple,
    };

    // A sigma at the end of a word: a letter before it and none after it, ignoring characters without case.
    private static bool IsFinalSigma(string text, int index)
    {
        var before = index - 1;
        while (before >= 0 && IsCaseIgnorable(text[before]))
            before--;
        var after = index + 1;
        while (after < text.Length && IsCaseIgnorable(text[after]))
            after++;
        return before >= 0 && IsCased(text, before) && (after == text.Length || !IsCased(text, after));
    }

    private static bool IsCaseIgnorable(char c) => c is '\'' or '.' or ':' or '^' or '`' or '\u00B7' or '\u2019'
        || CharUnicodeInfo.GetUnicodeCategory(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark
            or UnicodeCategory.Format or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;

    private static string Simple(Rune rune) => rune.ToString().ToUpperInvariant();

    private static string Map(string text, Func<Rune, string> map)
    {
        var result = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (Rune.TryGetRuneAt(text, i, out var rune))
            {
                result.Append(map(rune));
                i += rune.Utf16SequenceLength - 1;
            }
            else
            {
                result.Append(text[i]);
            }
        }

        return result.ToString();
    }

    private static int Code(string hex) => int.Parse(hex, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
