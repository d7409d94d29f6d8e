using System.Globalization;
using System.Numerics;

namespace LocalLlm.Jinja.Values;

/// <summary>Writes and reads numbers as Python does.</summary>
internal static class NumberText
{
    // Python refuses longer conversions between int and str.
    private const int MaxDigits = 4300;

    public static string Write(BigInteger value)
    {
        // log10(2) digits per bit
        if (value.GetBitLength() * 0.30103 > MaxDigits + 1)
            throw TooManyDigits();
        var text = value.ToString(CultureInfo.InvariantCulture);
        return text.Length - (value.Sign < 0 ? 1 : 0) > MaxDigits ? throw TooManyDigits() : text;
    }

    /// <summary>The shortest text that reads back as the same float: <c>0.1</c>, <c>1e+16</c>, <c>inf</c>.</summary>
    public static string Write(double value)
    {
        if (double.IsNaN(value))
            return "nan";
        if (double.IsInfinity(value))
            return value > 0 ? "inf" : "-inf";
        var (digits, exponent) = Shortest(Math.Abs(value));
        var sign = double.IsNegative(value) ? "-" : "";
        if (exponent is < -4 or >= 16)
            return sign + Exponential(digits, exponent);
        if (exponent < 0)
            return sign + "0." + new string('0', -exponent - 1) + digits;
        return digits.Length > exponent + 1
            ? sign + digits[..(exponent + 1)] + "." + digits[(exponent + 1)..]
            : sign + digits.PadRight(exponent + 1, '0') + ".0";
    }

    /// <summary><c>d.ddde+XX</c> from significant digits.</summary>
    public static string Exponential(string digits, int exponent)
    {
        var mantissa = digits.Length > 1 ? $"{digits[0]}.{digits[1..]}" : digits;
        return $"{mantissa}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent).ToString("00", CultureInfo.InvariantCulture)}";
    }

    /// <summary>Significant digits and the exponent of the first one.</summary>
    public static (string Digits, int Exponent) Shortest(double value)
    {
        if (value == 0)
            return ("0", 0);
        var mantissa = value.ToString("R", CultureInfo.InvariantCulture).AsSpan();
        int exponent;
        var e = mantissa.IndexOf('E');
        if (e >= 0)
        {
            exponent = int.Parse(mantissa[(e + 1)..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
            mantissa = mantissa[..e];
        }
        else
        {
            var point = mantissa.IndexOf('.');
            var integerDigits = point < 0 ? mantissa.Length : point;
            exponent = mantissa[0] != '0' ? integerDigits - 1 : -mantissa[2..].IndexOfAnyExcept('0') - 1;
        }

        var digits = mantissa.ToString().Replace(".", "", StringComparison.Ordinal).TrimStart('0').TrimEnd('0');
        return (digits.Length == 0 ? "0" : digits, exponent);
    }

    /// <summary>Python's <c>int(text, base)</c>; null if the text is not an integer.</summary>
    public static object? ParseInteger(string text, long radix = 10)
    {
        if (radix is not 0 and (< 2 or > 36))
            return null;
        var s = PyText.Trim(text).AsSpan();
        var negative = s.StartsWith('-');
        if (negative || s.StartsWith('+'))
            s = s[1..];
        var prefix = s.Length > 1 && s[0] == '0' ? char.ToLowerInvariant(s[1]) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 0 } : 0;
        var hasPrefix = prefix != 0 && (radix == prefix || radix == 0);
        if (hasPrefix)
        {
            s = s[2..];
            if (s.StartsWith('_'))
                s = s[1..];
        }

        var zeroBase = radix == 0 && !hasPrefix;
        radix = hasPrefix ? prefix : zeroBase ? 10 : radix;
        var digits = Digits(s, (int)radix);
        if (digits is null || (zeroBase && digits.Length > 1 && digits[0] == '0' && digits.Trim('0').Length > 0))
            return null;
        if (digits.Length > MaxDigits)
            throw TooManyDigits();
        var value = BigInteger.Zero;
        if (radix == 10)
        {
            value = BigInteger.Parse(digits, CultureInfo.InvariantCulture);
        }
        else
        {
            foreach (var digit in digits)
                value = (value * radix) + DigitValue(digit);
        }

        return PyNumber.Normalize(negative ? -value : value);
    }

    /// <summary>Python's <c>float(text)</c>; null if the text is not a number.</summary>
    public static double? ParseFloat(string text)
    {
        var s = PyText.Trim(text);
        switch (s.TrimStart('+', '-').ToLowerInvariant())
        {
            case "inf" or "infinity" when s.Length - s.TrimStart('+', '-').Length <= 1:
                return s[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
            case "nan" when s.Length <= 4:
                return double.NaN;
        }

        var plain = new char[s.Length];
        var count = 0;
        for (var i = 0; i < s.Length; i++)
        {
            var c = DecimalDigit(s[i]);
            if (c == '_')
            {
                // An underscore is allowed only between two digits.
                if (i == 0 || i + 1 == s.Length || !char.IsAsciiDigit(DecimalDigit(s[i - 1])) || !char.IsAsciiDigit(DecimalDigit(s[i + 1])))
                    return null;
                continue;
            }

            if (!char.IsAsciiDigit(c) && c is not ('.' or 'e' or 'E' or '+' or '-'))
                return null;
            plain[count++] = c;
        }

        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(plain.AsSpan(0, count), Style, CultureInfo.InvariantCulture, out var value) ? value : null;
    }

    private static string? Digits(ReadOnlySpan<char> s, int radix)
    {
        var digits = new char[s.Length];
        var count = 0;
        for (var i = 0; i < s.Length; i++)
        {
            if (s[i] == '_' && i > 0 && s[i - 1] != '_' && i + 1 < s.Length)
                continue;
            var c = DecimalDigit(s[i]);
            if (DigitValue(c) is var value && (value < 0 || value >= radix))
                return null;
            digits[count++] = c;
        }

        return count == 0 ? null : new string(digits, 0, count);
    }

    private static char DecimalDigit(char c) =>
        c > '\x7f' && CharUnicodeInfo.GetDecimalDigitValue(c) is >= 0 and var value ? (char)('0' + value) : c;

    private static int DigitValue(char c) => c switch
    {
        >= '0' and <= '9' => c - '0',
        >= 'a' and <= 'z' => c - 'a' + 10,
        >= 'A' and <= 'Z' => c - 'A' + 10,
        _ => -1,
    };

    private static TemplateException TooManyDigits() =>
        TemplateException.Value($"Exceeds the limit ({MaxDigits} digits) for integer string conversion");
}
