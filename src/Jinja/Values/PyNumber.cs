using System.Numerics;

namespace LocalLlm.Jinja.Values;

/// <summary>
/// Python's arithmetic: unbounded integers (held as <see cref="long"/> if they fit, else as <see cref="BigInteger"/>), floats,
/// and <c>bool</c> as an integer.
/// </summary>
internal static class PyNumber
{
    // A product or power beyond this many bits is refused before it is computed.
    private const long MaxBits = 1 << 14;

    public static bool IsNumber(object? value) => value is long or double or bool or BigInteger;

    public static bool IsInteger(object? value) => value is long or bool or BigInteger;

    public static object Normalize(BigInteger value) => value >= long.MinValue && value <= long.MaxValue ? (object)(long)value : value;

    private static bool TryAdd(long a, long b, out long sum)
    {
        sum = unchecked(a + b);
        return ((a ^ sum) & (b ^ sum)) >= 0;
    }

    public static BigInteger ToBig(object value) => value switch
    {
        long l => l,
        bool b => b ? 1 : 0,
        _ => (BigInteger)value,
    };

    /// <summary>An integer argument such as a width; false for a value that is not an integer. Saturates.</summary>
    public static bool TryIndex(object? value, out long index)
    {
        index = value switch
        {
            long l => l,
            bool b => b ? 1 : 0,
            BigInteger big => big.Sign > 0 ? long.MaxValue : long.MinValue,
            _ => 0,
        };
        return IsInteger(value);
    }

    public static double ToDouble(object value)
    {
        switch (value)
        {
            case double d: return d;
            case long l: return l;
            case bool b: return b ? 1 : 0;
            default:
                var result = (double)(BigInteger)value;
                return double.IsInfinity(result) ? throw TemplateException.Arithmetic("int too large to convert to float") : result;
        }
    }

    /// <summary>Compares two numbers exactly, across types; null if one is NaN.</summary>
    public static int? Compare(object x, object y)
    {
        if (x is long a && y is long b)
            return a.CompareTo(b);
        if (x is double dx && y is double dy)
            return double.IsNaN(dx) || double.IsNaN(dy) ? null : dx.CompareTo(dy);
        if (x is double left)
            return -CompareToDouble(ToBig(y), left);
        return y is double right ? CompareToDouble(ToBig(x), right) : ToBig(x).CompareTo(ToBig(y));
    }

    private static int? CompareToDouble(BigInteger integer, double other)
    {
        if (double.IsNaN(other))
            return null;
        if (double.IsInfinity(other))
            return other > 0 ? -1 : 1;
        var floor = Math.Floor(other);
        var order = integer.CompareTo(new BigInteger(floor));
        return order == 0 && floor != other ? -1 : order;
    }

    public static object Add(object x, object y) => x is long a && y is long b && TryAdd(a, b, out var sum)
        ? sum
        : IsFloat(x, y) ? ToDouble(x) + ToDouble(y) : Normalize(ToBig(x) + ToBig(y));

    public static object Subtract(object x, object y) => x is long a && y is long b && b != long.MinValue && TryAdd(a, -b, out var difference)
        ? difference
        : IsFloat(x, y) ? ToDouble(x) - ToDouble(y) : Normalize(ToBig(x) - ToBig(y));

    public static object Multiply(object x, object y)
    {
        if (x is long a && y is long b && Math.BigMul(a, b) is var product && product == (long)product)
            return (long)product;
        if (IsFloat(x, y))
            return ToDouble(x) * ToDouble(y);
        BigInteger left = ToBig(x), right = ToBig(y);
        RequireBits(left.GetBitLength() + right.GetBitLength());
        return Normalize(left * right);
    }

    public static object Divide(object x, object y)
    {
        RequireNonZero(y, IsFloat(x, y) ? "float division by zero" : "division by zero");
        return IsFloat(x, y) ? ToDouble(x) / ToDouble(y) : Ratio(ToBig(x), ToBig(y));
    }

    public static object FloorDivide(object x, object y)
    {
        RequireNonZero(y, IsFloat(x, y) ? "float floor division by zero" : "integer division or modulo by zero");
        if (IsFloat(x, y))
            return FloatDivMod(ToDouble(x), ToDouble(y)).Quotient;
        var quotient = BigInteger.DivRem(ToBig(x), ToBig(y), out var remainder);
        return Normalize(remainder.Sign != 0 && remainder.Sign != ToBig(y).Sign ? quotient - 1 : quotient);
    }

    public static object Modulo(object x, object y)
    {
        RequireNonZero(y, IsFloat(x, y) ? "float modulo" : "integer division or modulo by zero");
        if (IsFloat(x, y))
            return FloatDivMod(ToDouble(x), ToDouble(y)).Remainder;
        var remainder = ToBig(x) % ToBig(y);
        return Normalize(remainder.Sign != 0 && remainder.Sign != ToBig(y).Sign ? remainder + ToBig(y) : remainder);
    }

    public static object Power(object x, object y)
    {
        if (!IsFloat(x, y) && ToBig(y).Sign >= 0)
        {
            BigInteger number = ToBig(x), exponent = ToBig(y);
            if (number.IsOne || number.IsZero || number == BigInteger.MinusOne)
                return Normalize(BigInteger.Pow(number, exponent.IsZero ? 0 : exponent.IsEven ? 2 : 1));
            RequireBits(exponent > MaxBits ? long.MaxValue : number.GetBitLength() * (long)exponent);
            return Normalize(BigInteger.Pow(number, (int)exponent));
        }

        double left = ToDouble(x), right = ToDouble(y);
        if (left == 0 && right < 0)
            throw TemplateException.Arithmetic("0.0 cannot be raised to a negative power");
        if (left < 0 && double.IsFinite(left) && double.IsFinite(right) && Math.Floor(right) != right)
            throw TemplateException.Value("a negative number to a fractional power is complex, which templates cannot use");
        var result = Math.Pow(left, right);
        if (double.IsInfinity(result) && double.IsFinite(left) && double.IsFinite(right))
            throw TemplateException.Arithmetic("Numerical result out of range");
        return result;
    }

    public static object Negate(object x) => x is double d ? -d : Normalize(-ToBig(x));

    public static object Plus(object x) => x is bool ? Normalize(ToBig(x)) : x;

    public static object Abs(object x) => x is double d ? Math.Abs(d) : Normalize(BigInteger.Abs(ToBig(x)));

    public static object Truncate(double value)
    {
        if (double.IsNaN(value))
            throw TemplateException.Value("cannot convert float NaN to integer");
        if (double.IsInfinity(value))
            throw TemplateException.Arithmetic("cannot convert float infinity to integer");
        return Normalize(new BigInteger(value));
    }

    private static bool IsFloat(object x, object y) => x is double || y is double;

    private static void RequireBits(long bits)
    {
        if (bits > MaxBits)
            throw TemplateException.Limit($"an integer of more than {MaxBits} bits");
    }

    private static void RequireNonZero(object y, string message)
    {
        if (y is double d ? d == 0 : ToBig(y).IsZero)
            throw TemplateException.Arithmetic(message);
    }

    // The quotient of two integers, correctly rounded even if they do not fit a double.
    private static double Ratio(BigInteger x, BigInteger y)
    {
        const long Exact = 1L << 53;
        if (BigInteger.Abs(x) <= Exact && BigInteger.Abs(y) <= Exact)
            return (double)x / (double)y;
        var negative = x.Sign * y.Sign < 0;
        x = BigInteger.Abs(x);
        y = BigInteger.Abs(y);
        var shift = (int)(66 - (x.GetBitLength() - y.GetBitLength()));
        var quotient = BigInteger.DivRem(shift > 0 ? x << shift : x, shift < 0 ? y << -shift : y, out var remainder);
        if (!remainder.IsZero)
            quotient |= 1;
        // 66 or 67 bits: round to 53 with the sticky bit, then scale by a power of two.
        var drop = (int)quotient.GetBitLength() - 53;
        var kept = quotient >> drop;
        var rest = quotient - (kept << drop);
        var half = BigInteger.One << (drop - 1);
        if (rest > half || (rest == half && !kept.IsEven))
            kept++;
        var result = Math.ScaleB((double)kept, drop - shift);
        if (double.IsInfinity(result))
            throw TemplateException.Arithmetic("integer division result too large for a float");
        return negative ? -result : result;
    }

    private static (double Quotient, double Remainder) FloatDivMod(double x, double y)
    {
        var remainder = x % y;
        var quotient = (x - remainder) / y;
        if (remainder != 0)
        {
            if (y < 0 != remainder < 0)
            {
                remainder += y;
                quotient -= 1;
            }
        }
        else
        {
            remainder = Math.CopySign(0, y);
        }

        if (quotient == 0)
            return (Math.CopySign(0, x / y), remainder);
        var floor = Math.Floor(quotient);
        return (quotient - floor > 0.5 ? floor + 1 : floor, remainder);
    }
}
