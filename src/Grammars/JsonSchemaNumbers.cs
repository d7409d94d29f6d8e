using System.Globalization;
using System.Numerics;

namespace LocalLlm.Grammars;

/// <summary>
/// Numbers in a range, digit by digit. Whole numbers have no exponent, because readers of whole numbers expect none. Neither have
/// numbers with excluded values.
/// </summary>
/// <param name="nodes">The rules.</param>
/// <param name="budget">Pays for conditions other than bounds.</param>
internal sealed class JsonSchemaNumbers(GrammarNodes nodes, SchemaBudget budget)
{
    private const int MaxFactor = 20_000;
    private const int MaxShifted = 6; // digits beyond those of the factor, if an exponent follows
    private const int MaxZeros = 20; // more than any factor of that size can need

    /// <summary>The numbers of a range.</summary>
    /// <param name="range">The range.</param>
    /// <param name="types">Whole numbers, fractions, or both.</param>
    /// <exception cref="UnsatisfiableException">There is no such number.</exception>
    /// <exception cref="GrammarException">A factor (multipleOf) is too large or has too many digits.</exception>
    public Fragment Make(NumberRange range, SchemaTypes types)
    {
        if (!range.IsSifted && types != SchemaTypes.Fraction)
            return All(nodes, range, types);
var product = new LanguageProduct(budget, inner => All(inner, range, types));
        foreach (var factor in range.Multiples)
            product.Require(inner => Multiples(inner, factor, HasExponents(range, types)), isWanted: true);
        if (types == SchemaTypes.Fraction)
            product.Require(inner => Multiples(inner, new(1, 0), hasExponents: false), isWanted: false);
        foreach (var factor in range.NotMultiples)
            product.Require(inner => Multiples(inner, factor, hasExponents: false), isWanted: false);
        foreach (var value in range.Excluded)
            product.Require(inner => Spellings(inner, value), isWanted: false);
        var (start, ends) = product.Make(nodes, _ => 0);
        return new(start, ends[0]);
    }

    private Fragment All(GrammarNodes inner, NumberRange range, SchemaTypes types)
    {
        var numbers = new JsonSchemaNumbers(inner, budget);
        if (types == SchemaTypes.Integer)
            return numbers.Integers(range.Low, range.High);
        var decimals = numbers.Decimals(range.Low, range.High);
        return HasExponents(range, types) && new NumberExponents(inner).Make(range.Low, range.High) is { } others ? inner.Either(decimals, others) : decimals;
    }

    private static bool HasExponents(NumberRange range, SchemaTypes types) => types == SchemaTypes.Number && range.NotMultiples.Count + range.Excluded.Count == 0;

    // Any number of zeros after the point; 0 may also have a minus sign.
    private Fragment Spellings(GrammarNodes inner, SchemaDecimal value)
    {
        Fragment Same() => new JsonSchemaNumbers(inner, budget).Decimals(new(value, false), new(value, false));
        return value.Sign == 0 ? inner.Sequence(inner.Optional(inner.Literal("-")), Same()) : Same();
    }

    // Reads digits modulo the factor. The point is ignored, and zeros beyond the factor's own digits change nothing.
    private static Fragment Multiples(GrammarNodes nodes, SchemaDecimal factor, bool hasExponents)
    {
        if (factor.Digits > MaxFactor || factor.Scale > MaxFactor.ToString(CultureInfo.InvariantCulture).Length * 2)
            throw new GrammarException($"multiples of {factor} cannot be enforced; at most {MaxFactor} without the point");
        var modulus = (int)factor.Digits;
        if ((long)modulus * (factor.Scale + 1) > MaxFactor)
            throw new GrammarException($"multiples of {factor} cannot be enforced; at most {MaxFactor / (factor.Scale + 1)} without the point");
        var begin = nodes.Nothing();
        var end = nodes.Nothing();
        var exponents = new NumberExponents(nodes);

        // Digits beyond the factor's own matter only if an exponent shifts them before its last digit.
        var most = factor.Scale + (hasExponents && (long)modulus * (factor.Scale + MaxShifted + 1) <= MaxFactor ? MaxShifted : 0);
        var ids = Enumerable.Range(0, (most + 1) * modulus).Select(_ => nodes.Nothing().Start).ToArray();
        nodes.Connect(begin.Start, nodes.Optional(nodes.Literal("-")), ids[0]);
        var zeros = nodes.Star(nodes.Range((byte)'0', (byte)'0'));
        nodes.Connect(zeros.End, end.Start);
        for (var places = 0; places <= most; places++)
        {
            // After the point, each digit uses up one of the factor's decimal places.
            for (var rest = 0; rest < modulus; rest++)
            {
                var id = ids[(places * modulus) + rest];
                var fraction = id;
                if (places == 0)
                {
                    fraction = nodes.Nothing().Start;
                    nodes.Connect(id, (byte)'.', (byte)'.', fraction);
                }

                for (var digit = 0; digit <= 9; digit++)
                {
                    var next = (rest * 10 + digit) % modulus;
                    if (places == 0)
                        nodes.Connect(id, (byte)('0' + digit), (byte)('0' + digit), ids[next]);
                    if (places < most)
                        nodes.Connect(fraction, (byte)('0' + digit), (byte)('0' + digit), ids[((places + 1) * modulus) + next]);
                }

                if (hasExponents && Shift(rest, modulus) is { } shift)
                    nodes.Connect(id, exponents.AtLeast(shift + places - factor.Scale, end.Start));
                if (places <= factor.Scale && (BigInteger.Pow(10, factor.Scale - places) * rest % modulus).IsZero)
                {
                    nodes.Connect(id, end.Start);
                    nodes.Connect(fraction, zeros.Start);
                }
            }
        }

        return new(begin.Start, end.Start);
    }

    // How many zeros must follow to make a remainder a multiple; null: no number of zeros does.
    private static int? Shift(int rest, int modulus)
    {
        for (var (value, zeros) = ((long)rest, 0); zeros < MaxZeros; zeros++)
        {
            if (value == 0)
                return zeros;
            value = value * 10 % modulus;
        }

        return null;
    }

    private Fragment Integers(NumberBound? least, NumberBound? most)
    {
        BigInteger? low = least is { } l ? l.IsExclusive && l.Value.IsWhole ? l.Value.Digits + 1 : l.Value.Ceiling : null;
        BigInteger? high = most is { } h ? h.IsExclusive && h.Value.IsWhole ? h.Value.Digits - 1 : h.Value.Floor : null;
        if (low > high)
            throw Impossible(least, most);
        var parts = new List<Fragment>();
        if (high is null || high >= 0)
            parts.Add(new NumberDigits(nodes).Between(low is null ? 0 : BigInteger.Max(0, low.Value), high));
        if (low is null || low < 0)
            parts.Add(nodes.Sequence(nodes.Literal("-"), new NumberDigits(nodes).Between(high is { } top && top < 0 ? -top : 1, low is null ? null : -low)));
        return nodes.Either([.. parts]);
    }

    private Fragment Decimals(NumberBound? least, NumberBound? most)
    {
        var zero = new NumberBound(SchemaDecimal.Zero, false);
        var parts = new List<Fragment>();
        if (most is null || most.Value.Value.Sign > 0 || most is { Value.Sign: 0, IsExclusive: false })
            parts.AddRange(NonNegative(least is { Value.Sign: >= 0 } low ? low : zero, most));
        if (least is null || least.Value.Value.Sign < 0)
        {
            var nearest = most is { Value.Sign: < 0 } high ? new NumberBound(-high.Value, high.IsExclusive) : new(SchemaDecimal.Zero, most is { Value.Sign: 0, IsExclusive: true });
            var negative = NonNegative(nearest, least is null ? null : new NumberBound(-least.Value.Value, least.Value.IsExclusive));
            if (negative.Count > 0)
                parts.Add(nodes.Sequence(nodes.Literal("-"), nodes.Either([.. negative])));
        }

        return parts.Count == 0 ? throw Impossible(least, most) : nodes.Either([.. parts]);
    }

    private static UnsatisfiableException Impossible(NumberBound? low, NumberBound? high) => new($"no number lies between {low?.Value} and {high?.Value}");

    // Between the bounds a whole part may have any fraction; at a bound only fractions that stay inside.
    private List<Fragment> NonNegative(NumberBound low, NumberBound? high)
    {
        var parts = new List<Fragment>();
        var (first, last) = (low.Value.Floor, high?.Value.Floor);
        if (last < first)
            return parts;
        if (first == last)
        {
            if (new FractionDigits(nodes, low, high).Make() is { } between)
                parts.Add(nodes.Sequence(new NumberDigits(nodes).Between(first, first), between));
            return parts;
        }

        if (new FractionDigits(nodes, low, null).Make() is { } above)
            parts.Add(nodes.Sequence(new NumberDigits(nodes).Between(first, first), above));
        if (last is null)
            parts.Add(nodes.Sequence(new NumberDigits(nodes).Between(first + 1, null), nodes.Optional(Fraction())));
        else if (first + 1 < last)
            parts.Add(nodes.Sequence(new NumberDigits(nodes).Between(first + 1, last - 1), nodes.Optional(Fraction())));
        if (last is { } end && new FractionDigits(nodes, null, high).Make() is { } below)
            parts.Add(nodes.Sequence(new NumberDigits(nodes).Between(end, end), below));
        return parts;
    }

    private Fragment Fraction() => nodes.Sequence(nodes.Literal("."), nodes.Repeat(Digit, 1, null));

    private Fragment Digit() => nodes.Range((byte)'0', (byte)'9');
}
