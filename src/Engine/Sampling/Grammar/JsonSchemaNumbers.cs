using System.Globalization;
using System.Numerics;

namespace LocalLlm.Sampling.Grammar;

/// <summary>Numbers in a range, digit by digit; without exponents where anything is said of them.</summary>
/// <param name="nodes">The rules.</param>
/// <param name="budget">What conditions beside bounds may need.</param>
internal sealed class JsonSchemaNumbers(GrammarNodes nodes, SchemaBudget budget)
{
    private const int MaxFactor = 20_000;

    /// <summary>The numbers of a range.</summary>
    /// <param name="range">The range.</param>
    /// <param name="types">Whole numbers, others, or both.</param>
    /// <exception cref="UnsatisfiableException">There is none.</exception>
    /// <exception cref="GrammarException">What they are multiples of is too large a number, or has too many digits.</exception>
    public Fragment Make(NumberRange range, SchemaTypes types)
    {
        if (!range.IsSifted && types != SchemaTypes.Fraction)
            return types == SchemaTypes.Integer ? Integers(range.Low, range.High) : Decimals(range.Low, range.High);
        var product = new LanguageProduct(budget, inner => new JsonSchemaNumbers(inner, budget) is var numbers && types == SchemaTypes.Integer ? numbers.Integers(range.Low, range.High) : numbers.Decimals(range.Low, range.High));
        foreach (var factor in range.Multiples)
            product.Add(inner => Multiples(inner, factor));
        if (types == SchemaTypes.Fraction)
            product.Add(inner => Multiples(inner, new(1, 0)));
        foreach (var factor in range.NotMultiples)
            product.Add(inner => Multiples(inner, factor));
        foreach (var value in range.Excluded)
            product.Add(inner => Spellings(inner, value));
        var (start, ends) = product.Make(nodes, isIn => isIn.AsSpan(0, range.Multiples.Count).Contains(false) || isIn.AsSpan(range.Multiples.Count).Contains(true) ? -1 : 0);
        return new(start, ends[0]);
    }

    // Any number of zeros behind the point, and 0 also below zero.
    private Fragment Spellings(GrammarNodes inner, SchemaDecimal value)
    {
        Fragment Same() => new JsonSchemaNumbers(inner, budget).Decimals(new(value, false), new(value, false));
        return value.Sign == 0 ? inner.Sequence(inner.Optional(inner.Literal("-")), Same()) : Same();
    }

    // Digits as they are read, modulo the factor: the point is left out, zeros beyond the factor's own digits change nothing.
    private static Fragment Multiples(GrammarNodes nodes, SchemaDecimal factor)
    {
        if (factor.Digits > MaxFactor || factor.Scale > MaxFactor.ToString(CultureInfo.InvariantCulture).Length * 2)
            throw new GrammarException($"multiples of {factor} cannot be kept to; at most {MaxFactor} without the point");
        var modulus = (int)factor.Digits;
        if ((long)modulus * (factor.Scale + 1) > MaxFactor)
            throw new GrammarException($"multiples of {factor} cannot be kept to; at most {MaxFactor / (factor.Scale + 1)} without the point");
        var begin = nodes.Nothing();
        var end = nodes.Nothing();
        var ids = Enumerable.Range(0, (factor.Scale + 1) * modulus).Select(_ => nodes.Nothing().Start).ToArray();
        nodes.Connect(begin.Start, nodes.Optional(nodes.Literal("-")), ids[0]);
        var zeros = nodes.Star(nodes.Range((byte)'0', (byte)'0'));
        nodes.Connect(zeros.End, end.Start);
        for (var places = 0; places <= factor.Scale; places++)
        {
            // Behind the point a digit takes one of the factor's places.
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
                    if (places < factor.Scale)
                        nodes.Connect(fraction, (byte)('0' + digit), (byte)('0' + digit), ids[((places + 1) * modulus) + next]);
                }

                if ((BigInteger.Pow(10, factor.Scale - places) * rest % modulus).IsZero)
                {
                    nodes.Connect(id, end.Start);
                    nodes.Connect(fraction, zeros.Start);
                }
            }
        }

        return new(begin.Start, end.Start);
    }

    private Fragment Integers(NumberBound? least, NumberBound? most)
    {
        BigInteger? low = least is { } l ? l.IsExclusive && l.Value.IsWhole ? l.Value.Digits + 1 : l.Value.Ceiling : null;
        BigInteger? high = most is { } h ? h.IsExclusive && h.Value.IsWhole ? h.Value.Digits - 1 : h.Value.Floor : null;
        if (low > high)
            throw Impossible(least, most);
        var parts = new List<Fragment>();
        if (high is null || high >= 0)
            parts.Add(Digits(low is null ? 0 : BigInteger.Max(0, low.Value), high));
        if (low is null || low < 0)
            parts.Add(nodes.Sequence(nodes.Literal("-"), Digits(high is { } top && top < 0 ? -top : 1, low is null ? null : -low)));
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

    // The whole part between the bounds has any fraction; at a bound only what stays inside.
    private List<Fragment> NonNegative(NumberBound low, NumberBound? high)
    {
        var parts = new List<Fragment>();
        var (first, last) = (low.Value.Floor, high?.Value.Floor);
        if (last < first)
            return parts;
        if (first == last)
        {
            if (new FractionDigits(nodes, low, high).Make() is { } between)
                parts.Add(nodes.Sequence(Digits(first, first), between));
            return parts;
        }

        if (new FractionDigits(nodes, low, null).Make() is { } above)
            parts.Add(nodes.Sequence(Digits(first, first), above));
        if (last is null)
            parts.Add(nodes.Sequence(Digits(first + 1, null), nodes.Optional(Fraction())));
        else if (first + 1 < last)
            parts.Add(nodes.Sequence(Digits(first + 1, last - 1), nodes.Optional(Fraction())));
        if (last is { } end && new FractionDigits(nodes, null, high).Make() is { } below)
            parts.Add(nodes.Sequence(Digits(end, end), below));
        return parts;
    }

    private Fragment Fraction() => nodes.Sequence(nodes.Literal("."), nodes.Repeat(Digit, 1, null));

    private Fragment Digit() => nodes.Range((byte)'0', (byte)'9');

    // Whole numbers from low (at least 0) to high.
    private Fragment Digits(BigInteger low, BigInteger? high)
    {
        var parts = new List<Fragment>();
        var first = low.ToString(CultureInfo.InvariantCulture);
        if (high is null)
        {
            parts.Add(Between(first, new string('9', first.Length)));
            parts.Add(nodes.Sequence(nodes.Range((byte)'1', (byte)'9'), nodes.Repeat(Digit, first.Length, null)));
            return nodes.Either([.. parts]);
        }

        var last = high.Value.ToString(CultureInfo.InvariantCulture);
        if (first.Length == last.Length)
            return Between(first, last);
        parts.Add(Between(first, new string('9', first.Length)));
        if (last.Length - first.Length > 1)
            parts.Add(nodes.Sequence(nodes.Range((byte)'1', (byte)'9'), nodes.Repeat(Digit, first.Length, last.Length - 2)));
        parts.Add(Between("1" + new string('0', last.Length - 1), last));
        return nodes.Either([.. parts]);
    }

    // Numbers of one length, from first to last.
    private Fragment Between(string first, string last)
    {
        var places = new Dictionary<(int At, bool AtFirst, bool AtLast), int>();
        var end = nodes.Nothing().Start;
        return new(From(0, true, true), end);

        int From(int at, bool atFirst, bool atLast)
        {
            if (at == first.Length)
                return end;
            if (places.TryGetValue((at, atFirst, atLast), out var place))
                return place;
            places.Add((at, atFirst, atLast), place = nodes.Nothing().Start);
            var (low, high) = (atFirst ? first[at] : '0', atLast ? last[at] : '9');
            for (var digit = low; digit <= high; digit++)
                nodes.Connect(place, (byte)digit, (byte)digit, From(at + 1, atFirst && digit == low, atLast && digit == high));
            return place;
        }
    }
}
