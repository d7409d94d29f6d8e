using System.Globalization;
using System.Numerics;

namespace LocalLlm.Grammars;

/// <summary>Whole numbers by their digits.</summary>
/// <param name="nodes">The rules.</param>
internal sealed class NumberDigits(GrammarNodes nodes)
{
    /// <summary>The whole numbers between two bounds.</summary>
    /// <param name="low">The lowest, at least 0.</param>
    /// <param name="high">The highest, at least <paramref name="low"/>; null: there is none.</param>
    public Fragment Between(BigInteger low, BigInteger? high)
    {
        var parts = new List<Fragment>();
        var first = low.ToString(CultureInfo.InvariantCulture);
        if (high is null)
        {
            parts.Add(OfOneLength(first, new string('9', first.Length)));
            parts.Add(nodes.Sequence(nodes.Range((byte)'1', (byte)'9'), nodes.Repeat(Digit, first.Length, null)));
            return nodes.Either([.. parts]);
        }

        var last = high.Value.ToString(CultureInfo.InvariantCulture);
        if (first.Length == last.Length)
            return OfOneLength(first, last);
        parts.Add(OfOneLength(first, new string('9', first.Length)));
        if (last.Length - first.Length > 1)
            parts.Add(nodes.Sequence(nodes.Range((byte)'1', (byte)'9'), nodes.Repeat(Digit, first.Length, last.Length - 2)));
        parts.Add(OfOneLength("1" + new string('0', last.Length - 1), last));
        return nodes.Either([.. parts]);
    }

    // Numbers of one length, from first to last.
    private Fragment OfOneLength(string first, string last)
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

    private Fragment Digit() => nodes.Range((byte)'0', (byte)'9');
}
