using System.Globalization;
using System.Numerics;

namespace LocalLlm.Sampling.Grammar;

/// <summary>Numbers between whole bounds, digit by digit.</summary>
internal sealed class JsonSchemaNumbers(GrammarNodes nodes)
{
    /// <summary>A bound.</summary>
    /// <param name="Value">The bound.</param>
    /// <param name="IsExclusive">Whether the bound itself is outside.</param>
    internal readonly record struct Bound(BigInteger Value, bool IsExclusive);

    /// <summary>Whole numbers.</summary>
    public Fragment Integers(Bound? least, Bound? most)
    {
        BigInteger? low = least is { } l ? l.IsExclusive ? l.Value + 1 : l.Value : null;
        BigInteger? high = most is { } h ? h.IsExclusive ? h.Value - 1 : h.Value : null;
        var parts = new List<Fragment>();
        if (high is null || high >= 0)
            parts.Add(Digits(low is null ? 0 : BigInteger.Max(0, low.Value), high));
        if (low is null || low < 0)
            parts.Add(nodes.Sequence(nodes.Literal("-"), Digits(high is { } top && top < 0 ? -top : 1, low is null ? null : -low)));
        return Some(parts, low, high);
    }

    /// <summary>Numbers with a fraction perhaps; without an exponent.</summary>
    public Fragment Decimals(Bound? least, Bound? most)
    {
        var parts = new List<Fragment>();
        if (most is null || most.Value.Value > 0 || most is { Value.IsZero: true, IsExclusive: false })
            parts.Add(NonNegative(least is null || least.Value.Value < 0 ? new(0, false) : least.Value, most));
        if (least is null || least.Value.Value < 0)
        {
            var nearest = most is { } high && high.Value < 0 ? new Bound(-high.Value, high.IsExclusive) : new Bound(0, most is { Value.IsZero: true, IsExclusive: true });
            parts.Add(nodes.Sequence(nodes.Literal("-"), NonNegative(nearest, least is null ? null : new Bound(-least.Value.Value, least.Value.IsExclusive))));
        }

        return Some(parts, least?.Value, most?.Value);
    }

    private static UnsatisfiableException Impossible(BigInteger? low, BigInteger? high) => new(string.Create(CultureInfo.InvariantCulture, $"no number lies between {low} and {high}"));

    private Fragment Some(List<Fragment> parts, BigInteger? low, BigInteger? high) =>
        low > high || parts.Count == 0 ? throw Impossible(low, high) : nodes.Either([.. parts]);

    // The whole part below the upper bound has any fraction; at a bound only what stays inside.
    private Fragment NonNegative(Bound low, Bound? high)
    {
        if (high is { } top && low.Value > top.Value)
            throw Impossible(low.Value, top.Value);
        var parts = new List<Fragment>();
        var firstFree = low.Value;
        if (low.IsExclusive)
        {
            if (high is null || low.Value < high.Value.Value)
                parts.Add(nodes.Sequence(Digits(low.Value, low.Value), NonZeroFraction()));
            firstFree++;
        }

        if (high is null)
            parts.Add(nodes.Sequence(Digits(firstFree, null), nodes.Optional(Fraction())));
        else if (firstFree < high.Value.Value)
            parts.Add(nodes.Sequence(Digits(firstFree, high.Value.Value - 1), nodes.Optional(Fraction())));
        if (high is { IsExclusive: false } end && (end.Value > low.Value || !low.IsExclusive))
            parts.Add(nodes.Sequence(Digits(end.Value, end.Value), nodes.Optional(nodes.Sequence(nodes.Literal("."), nodes.Repeat(() => nodes.Literal("0"), 1, null)))));
        return parts.Count == 0 ? throw Impossible(low.Value, high?.Value) : nodes.Either([.. parts]);
    }

    private Fragment Fraction() => nodes.Sequence(nodes.Literal("."), nodes.Repeat(Digit, 1, null));

    private Fragment NonZeroFraction() => nodes.Sequence(nodes.Literal("."), nodes.Star(Digit()), nodes.Range((byte)'1', (byte)'9'), nodes.Star(Digit()));

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

        if (low > high)
            throw Impossible(low, high);
        var last = high.Value.ToString(CultureInfo.InvariantCulture);
        for (var length = first.Length; length <= last.Length; length++)
        {
            var begin = length == first.Length ? first : "1" + new string('0', length - 1);
            var end = length == last.Length ? last : new string('9', length);
            parts.Add(Between(begin, end));
        }

        return nodes.Either([.. parts]);
    }

    // Numbers of one length, from first to last.
    private Fragment Between(string first, string last)
    {
        return From(0, true, true);

        Fragment From(int at, bool atFirst, bool atLast)
        {
            if (at == first.Length)
                return nodes.Nothing();
            if (!atFirst && !atLast)
                return nodes.Repeat(Digit, first.Length - at, first.Length - at);
            var (low, high) = (atFirst ? first[at] : '0', atLast ? last[at] : '9');
            if (low == high)
                return nodes.Sequence(nodes.Literal(low.ToString()), From(at + 1, atFirst, atLast));
            var parts = new List<Fragment>();
            if (atFirst)
                parts.Add(nodes.Sequence(nodes.Literal(low.ToString()), From(at + 1, true, false)));
            if (atLast)
                parts.Add(nodes.Sequence(nodes.Literal(high.ToString()), From(at + 1, false, true)));
            var (freeLow, freeHigh) = (atFirst ? (char)(low + 1) : low, atLast ? (char)(high - 1) : high);
            if (freeLow <= freeHigh)
                parts.Add(nodes.Sequence(nodes.Range((byte)freeLow, (byte)freeHigh), From(at + 1, false, false)));
            return nodes.Either([.. parts]);
        }
    }
}
