using System.Globalization;
using System.Numerics;

namespace LocalLlm.Grammars;

/// <summary>
/// An exact decimal number of any size: <paramref name="Digits"/> / 10^<paramref name="Scale"/>, without trailing zeros in its fraction.
/// </summary>
/// <param name="Digits">All its digits.</param>
/// <param name="Scale">Number of digits after the point.</param>
internal readonly record struct SchemaDecimal(BigInteger Digits, int Scale) : IComparable<SchemaDecimal>
{
    private const int MaxLength = 40;
    private const int MaxExponent = 308;

    /// <summary>Zero.</summary>
    public static SchemaDecimal Zero => new(BigInteger.Zero, 0);

    /// <summary>Whether it is a whole number.</summary>
    public bool IsWhole => Scale == 0;

    /// <summary>Negative, zero or positive.</summary>
    public int Sign => Digits.Sign;

    /// <summary>The largest whole number not above it.</summary>
    public BigInteger Floor => BigInteger.DivRem(Digits, BigInteger.Pow(10, Scale), out var rest) - (rest.Sign < 0 ? 1 : 0);

    /// <summary>The smallest whole number not below it.</summary>
    public BigInteger Ceiling => -(-this).Floor;

    /// <summary>The digits after the point, for a number that is not negative.</summary>
    public string Fraction => Scale == 0 ? "" : BigInteger.Remainder(Digits, BigInteger.Pow(10, Scale)).ToString(CultureInfo.InvariantCulture).PadLeft(Scale, '0');

    /// <summary>Reads a JSON number.</summary>
    /// <returns>Whether it has at most 40 characters and an exponent of at most 308.</returns>
    public static bool TryParse(string text, out SchemaDecimal number)
    {
        number = Zero;
        var parts = text.Split('e', 'E');
        var exponent = 0;
        if (text.Length > MaxLength || parts.Length > 2 || (parts.Length == 2 && !int.TryParse(parts[1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out exponent)) || exponent is < -MaxExponent or > MaxExponent)
            return false;
        var point = parts[0].IndexOf('.', StringComparison.Ordinal);
        var scale = point < 0 ? 0 : parts[0].Length - point - 1;
        if (!BigInteger.TryParse(parts[0].Replace(".", "", StringComparison.Ordinal), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var digits))
            return false;
        scale -= exponent;
        if (scale < 0)
            (digits, scale) = (digits * BigInteger.Pow(10, -scale), 0);
        while (scale > 0 && (digits % 10).IsZero)
            (digits, scale) = (digits / 10, scale - 1);
        number = new(digits, scale);
        return true;
    }

    public static SchemaDecimal operator -(SchemaDecimal number) => new(-number.Digits, number.Scale);

    public static bool operator <(SchemaDecimal a, SchemaDecimal b) => a.CompareTo(b) < 0;

    public static bool operator >(SchemaDecimal a, SchemaDecimal b) => a.CompareTo(b) > 0;

    public static bool operator <=(SchemaDecimal a, SchemaDecimal b) => a.CompareTo(b) <= 0;

    public static bool operator >=(SchemaDecimal a, SchemaDecimal b) => a.CompareTo(b) >= 0;

    public int CompareTo(SchemaDecimal other)
    {
        var scale = Math.Max(Scale, other.Scale);
        return (Digits * BigInteger.Pow(10, scale - Scale)).CompareTo(other.Digits * BigInteger.Pow(10, scale - other.Scale));
    }

    public override string ToString()
    {
        var whole = BigInteger.Abs(Digits) / BigInteger.Pow(10, Scale);
        return string.Create(CultureInfo.InvariantCulture, $"{(Sign < 0 ? "-" : "")}{whole}{(Scale > 0 ? "." : "")}{(this is var number && Sign < 0 ? (-number).Fraction : Fraction)}");
    }
}
