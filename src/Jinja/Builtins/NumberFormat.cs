using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>The presentation types that <c>%</c> and <c>format</c> share; all of them write the magnitude without a sign.</summary>
internal static class NumberFormat
{
    /// <summary>
    /// A float as <c>e</c>, <c>f</c> or <c>g</c> (or their capitals); the caller has already applied the default of
    /// <paramref name="precision"/>.
    /// </summary>
    public static string Float(double value, char type, int precision, bool alternate)
    {
        var lower = char.ToLowerInvariant(type);
        string text;
        if (double.IsNaN(value))
        {
            text = "nan";
        }
        else if (double.IsInfinity(value))
        {
            text = "inf";
        }
        else
        {
            if (precision > DecimalText.MaxPrecision)
                throw TemplateException.Limit($"a precision of {precision}, allowed are {DecimalText.MaxPrecision}");
            text = lower switch
            {
                'f' => DecimalText.Fixed(value, precision) + (alternate && precision == 0 ? "." : ""),
                'e' => Exponent(value, precision, alternate),
                _ => General(value, Math.Max(1, precision), alternate),
            };
        }

        return char.IsUpper(type) ? text.ToUpperInvariant() : text;
    }

    private static string Exponent(double value, int precision, bool alternate)
    {
        var (digits, exponent) = DecimalText.Significant(value, precision + 1);
        var text = NumberText.Exponential(digits, exponent);
        return alternate && precision == 0 ? text.Insert(1, ".") : text;
    }

    private static string General(double value, int precision, bool alternate)
    {
        var (digits, exponent) = DecimalText.Significant(value, precision);
        if (!alternate)
            digits = digits[0] + digits[1..].TrimEnd('0');
        return Layout(digits, exponent, exponent < -4 || exponent >= precision, alternate);
    }

    /// <summary>Significant digits as a plain number or with an exponent.</summary>
    public static string Layout(string digits, int exponent, bool useExponent, bool keepPoint)
    {
        if (useExponent)
            return NumberText.Exponential(digits, exponent).Insert(1, keepPoint && digits.Length == 1 ? "." : "");
        if (exponent < 0)
            return "0." + new string('0', -exponent - 1) + digits;
        if (digits.Length > exponent + 1)
            return digits[..(exponent + 1)] + "." + digits[(exponent + 1)..];
        return digits.PadRight(exponent + 1, '0') + (keepPoint ? "." : "");
    }

    /// <summary>The magnitude of an integer in base 2, 8, 10 or 16.</summary>
    public static string Integer(System.Numerics.BigInteger value, char type)
    {
        value = System.Numerics.BigInteger.Abs(value);
        if (type is not ('x' or 'X' or 'o' or 'b'))
            return NumberText.Write(value);
        var bits = type == 'b' ? 1 : type == 'o' ? 3 : 4;
        var digits = new char[(value.GetBitLength() / bits) + 1];
        var at = digits.Length;
        do
        {
            digits[--at] = "0123456789abcdef"[(int)(value & ((1 << bits) - 1))];
            value >>= bits;
        }
        while (!value.IsZero);
        var text = new string(digits, at, digits.Length - at);
        return type == 'X' ? text.ToUpperInvariant() : text;
    }
}
