using System.Globalization;
using System.Numerics;

namespace LocalLlm.Jinja.Values;

/// <summary>
/// Floats with a given number of digits, exact and rounded half to even, like Python's <c>%f</c>, <c>%e</c> and <c>%g</c>.
/// </summary>
internal static class DecimalText
{
    // The smallest double has 1,074 fractional digits; further digits can only be zeros.
    public const int MaxPrecision = 1100;

    /// <summary>A finite <paramref name="value"/> with a number of digits after the point; without sign.</summary>
    public static string Fixed(double value, int digits)
    {
        var text = Scale(value, digits).ToString(CultureInfo.InvariantCulture);
        if (digits == 0)
            return text;
        text = text.PadLeft(digits + 1, '0');
        return text[..^digits] + "." + text[^digits..];
    }

    /// <summary>
    /// A finite <paramref name="value"/> with a number of significant digits: the digits, and the exponent of the first one.
    /// </summary>
    public static (string Digits, int Exponent) Significant(double value, int count)
    {
        if (value == 0)
            return (new string('0', count), 0);
        var exponent = (int)Math.Floor(Math.Log10(Math.Abs(value)));
        // The logarithm can be off by one, and rounding can carry into one more digit.
        for (exponent--; ; exponent++)
        {
            var digits = Scale(value, count - 1 - exponent).ToString(CultureInfo.InvariantCulture);
            if (digits.Length <= count)
                return (digits, exponent);
        }
    }

    /// <summary>Rounds to a number of digits after the point (before it if negative), half to even.</summary>
    public static double Round(double value, int digits)
    {
        if (!double.IsFinite(value) || digits > 330)
            return value;
        if (digits < -330)
            return Math.CopySign(0, value);
        var text = $"{Scale(value, digits)}E{-digits}";
        return Math.CopySign(double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture), value);
    }

    public static BigInteger RoundInteger(BigInteger value, int digits)
    {
        var unit = BigInteger.Pow(10, digits);
        return DivideHalfEven(BigInteger.Abs(value), unit) * unit * value.Sign;
    }

    // round(|value| * 10^digits)
    private static BigInteger Scale(double value, int digits)
    {
        var bits = BitConverter.DoubleToInt64Bits(value);
        var exponent = (int)((bits >> 52) & 0x7FF);
        BigInteger mantissa = bits & 0xFFFFFFFFFFFFFL;
        if (exponent == 0)
            exponent++;
        else
            mantissa += 1L << 52;
        exponent -= 1075;
        var numerator = mantissa * BigInteger.Pow(10, Math.Max(0, digits));
        var denominator = BigInteger.Pow(10, Math.Max(0, -digits));
        if (exponent > 0)
            numerator <<= exponent;
        else
            denominator <<= -exponent;
        return DivideHalfEven(numerator, denominator);
    }

    private static BigInteger DivideHalfEven(BigInteger numerator, BigInteger denominator)
    {
        var quotient = BigInteger.DivRem(numerator, denominator, out var remainder);
        var order = (remainder * 2).CompareTo(denominator);
        return order > 0 || (order == 0 && !quotient.IsEven) ? quotient + 1 : quotient;
    }
}
