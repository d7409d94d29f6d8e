using System.Globalization;
using System.Numerics;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Syntax;

/// <summary>Names, strings and numbers inside a tag.</summary>
internal static class Literals
{
    // Python refuses to convert between int and str beyond this many digits.
    private const int MaxDigits = 4300;

    /// <summary>Reads the literal at <paramref name="pos"/>; returns the position after it, or -1 if none starts there.</summary>
    public static int Read(string source, int pos, int line, out Token token)
    {
        var c = source[pos];
        if (char.IsAsciiDigit(c))
            return Number(source, pos, line, out token);
        if (c is '\'' or '"')
            return Text(source, pos, line, out token);
        var end = pos;
        while (end < source.Length && IsNamePart(source, end))
            end += char.IsSurrogatePair(source, end) ? 2 : 1;
        token = new Token(TokenType.Name, source[pos..end], line);
        if (end == pos)
            return -1;
        if (!IsNameStart(source, pos))
            throw TemplateException.Syntax("Invalid character in identifier", line);
        return end;
    }

    private static bool IsNameStart(string s, int i) =>
        s[i] == '_' || CharUnicodeInfo.GetUnicodeCategory(s, i) is <= UnicodeCategory.OtherLetter or UnicodeCategory.LetterNumber;

    private static bool IsNamePart(string s, int i) =>
        s[i] == '_' || CharUnicodeInfo.GetUnicodeCategory(s, i) is <= UnicodeCategory.SpacingCombiningMark
            or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber
            or UnicodeCategory.ConnectorPunctuation;

    private static int Text(string source, int pos, int line, out Token token)
    {
        token = default;
        for (var i = pos + 1; i < source.Length; i++)
        {
            if (source[i] == '\\')
            {
                i++;
            }
            else if (source[i] == source[pos])
            {
                token = new Token(TokenType.String, StringLiteral.Unescape(source[(pos + 1)..i], line), line);
                return i + 1;
            }
        }

        return -1;
    }

    private static int Number(string source, int pos, int line, out Token token)
    {
        var end = pos > 0 && source[pos - 1] == '.' ? -1 : Float(source, pos);
        if (end >= 0)
        {
            var text = source[pos..end].Replace("_", "", StringComparison.Ordinal);
            token = new Token(TokenType.Float, text, line, double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture));
            return end;
        }

        end = Integer(source, pos, out var radix);
        var digits = source[(radix == 10 ? pos : pos + 2)..end].Replace("_", "", StringComparison.Ordinal);
        if (digits.Length > MaxDigits)
            throw TemplateException.Syntax($"integer literal of {digits.Length} digits, allowed are {MaxDigits}", line);
        var value = BigInteger.Zero;
        if (radix == 10)
        {
            value = BigInteger.Parse(digits, CultureInfo.InvariantCulture);
        }
        else
        {
            foreach (var digit in digits)
                value = (value * radix) + Convert.ToInt32(digit.ToString(), 16);
        }

        token = new Token(TokenType.Integer, digits, line, PyNumber.Normalize(value));
        return end;
    }

    private static int Integer(string s, int pos, out int radix)
    {
        radix = 10;
        if (s[pos] == '0' && pos + 1 < s.Length)
        {
            var prefix = char.ToLowerInvariant(s[pos + 1]);
            Func<char, bool>? isDigit = prefix switch
            {
                'b' => c => c is '0' or '1',
                'o' => c => c is >= '0' and <= '7',
                'x' => char.IsAsciiHexDigit,
                _ => null,
            };
            if (isDigit is not null)
            {
                var end = Digits(s, pos + 2, isDigit, leadingUnderscore: true);
                if (end > pos + 2)
                {
                    radix = prefix switch { 'b' => 2, 'o' => 8, _ => 16 };
                    return end;
                }
            }
        }

        return s[pos] == '0' ? Digits(s, pos, c => c == '0') : Digits(s, pos, char.IsAsciiDigit);
    }

    // digits ( "." digits )? ( "e" sign? digits )? with at least one of the two parts; -1 for anything else.
    private static int Float(string s, int pos)
    {
        var i = Digits(s, pos, char.IsAsciiDigit);
        var result = -1;
        if (i < s.Length && s[i] == '.')
        {
            var fraction = Digits(s, i + 1, char.IsAsciiDigit);
            if (fraction > i + 1)
                result = i = fraction;
        }

        if (i < s.Length && s[i] is 'e' or 'E')
        {
            var k = i + 1 < s.Length && s[i + 1] is '+' or '-' ? i + 2 : i + 1;
            var exponent = Digits(s, k, char.IsAsciiDigit);
            if (exponent > k)
                result = exponent;
        }

        return result;
    }

    private static int Digits(string s, int i, Func<char, bool> isDigit, bool leadingUnderscore = false)
    {
        var start = i;
        while (i < s.Length)
        {
            if (isDigit(s[i]))
                i++;
            else if (s[i] == '_' && (i > start || leadingUnderscore) && i + 1 < s.Length && isDigit(s[i + 1]))
                i += 2;
            else
                break;
        }

        return i;
    }
}
