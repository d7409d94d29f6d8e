using System.Globalization;

namespace LocalLlm.Grammars;

/// <summary>
/// Numbers with an exponent between two bounds: <c>1e-06</c>, <c>2.5E+3</c>. A mantissa has one digit before the point. If the
/// mantissa itself lies between the bounds, it may have up to <see cref="MaxWhole"/> digits there, or up to
/// <see cref="MaxZeros"/> zeros after a leading <c>0.</c>. Otherwise a model that writes too large a number would be led into one that
/// only an exponent can save. Exponents have at most three digits. Digits are compared with those of the bounds as they come; at
/// their end it is known which exponents stay inside.
/// </summary>
/// <param name="nodes">The rules.</param>
internal sealed class NumberExponents(GrammarNodes nodes)
{
    /// <summary>Max digits before the point.</summary>
    public const int MaxWhole = 3;

    /// <summary>Max zeros after the point of a mantissa that begins with <c>0.</c>.</summary>
    public const int MaxZeros = 2;

    private const int MaxOutside = 17; // digits after the point of a mantissa that is itself out of bounds: more than a double has
    private const int MaxExponent = 999;
    private const int MaxPadding = 2; // leading zeros of an exponent
    private const int Below = -1;
    private const int Above = -2;

    private readonly Dictionary<(int? Least, int? Most), int> _exponents = [];
    private bool _isConnected;
    private readonly int _end = nodes.Nothing().Start;

    /// <summary>The numbers; null: there are none.</summary>
    /// <param name="low">The lower bound.</param>
    /// <param name="high">The upper bound.</param>
    public Fragment? Make(NumberBound? low, NumberBound? high)
    {
        var start = nodes.Nothing().Start;
        var parts = 0;
        if (high is null || high.Value.Value.Sign >= 0)
            parts += Magnitudes(start, low is { Value.Sign: >= 0 } ? low : null, high, IsInside(SchemaDecimal.Zero, low, high));
        if (low is null || low.Value.Value.Sign <= 0)
        {
            var minus = nodes.Literal("-");
            nodes.Connect(start, minus.Start);
            parts += Magnitudes(minus.End, Mirrored(high is { Value.Sign: <= 0 } ? high : null), Mirrored(low), IsInside(SchemaDecimal.Zero, low, high));
        }

        return parts == 0 ? null : new(start, _end);
    }

    /// <summary>An exponent with its letter, at least as large as a number; it leads to <paramref name="end"/>.</summary>
    /// <param name="least">The number.</param>
    /// <param name="end">Where it ends.</param>
    /// <returns>Where it begins.</returns>
    public int AtLeast(int least, int end)
    {
        var start = Exponent(least, null);
        if (!_isConnected)
            nodes.Connect(_end, end);
        _isConnected = true;
        return start;
    }

    private static NumberBound? Mirrored(NumberBound? bound) => bound is { } known ? new(-known.Value, known.IsExclusive) : null;

    private static bool IsInside(SchemaDecimal value, NumberBound? low, NumberBound? high) =>
        !(low is { } l && (value < l.Value || (value == l.Value && l.IsExclusive))) && !(high is { } h && (value > h.Value || (value == h.Value && h.IsExclusive)));

    // Numbers from low (at least 0; null: no bound) to high (at least 0). Returns the number of alternatives.
    private int Magnitudes(int start, NumberBound? low, NumberBound? high, bool hasZero)
    {
        var ways = 0;
        if (hasZero)
        {
            // Zero stays zero with any exponent.
            var zero = nodes.Sequence(nodes.Literal("0"), nodes.Optional(nodes.Sequence(nodes.Literal("."), nodes.Repeat(() => nodes.Literal("0"), 1, null))));
            nodes.Connect(start, zero.Start);
            nodes.Connect(zero.End, Exponent(null, null));
            ways++;
        }

        if (high is { Value.Sign: 0 })
            return ways;
        var mantissa = new Mantissa(nodes, this, low is { Value.Sign: > 0 } l ? l : null, high);
        mantissa.Begin(start);
        return ways + mantissa.Ways;
    }

    // The letter and an exponent between two numbers.
    private int Exponent(int? least, int? most)
    {
        // Without a limit a model could write digits forever.
        (least, most) = (Math.Max(least ?? -MaxExponent, -MaxExponent), Math.Min(most ?? MaxExponent, MaxExponent));
        if (_exponents.TryGetValue((least, most), out var known))
            return known;
        var letter = nodes.Either(nodes.Literal("e"), nodes.Literal("E"));
        _exponents.Add((least, most), letter.Start);
        var digits = new NumberDigits(nodes);
        if (most is null or >= 0)
        {
            var positive = nodes.Sequence(nodes.Optional(nodes.Literal("+")), Padding(), digits.Between(Math.Max(0, least ?? 0), most));
            nodes.Connect(letter.End, positive, _end);
        }

        if (least is null or <= 0)
        {
            var negative = nodes.Sequence(nodes.Literal("-"), Padding(), digits.Between(most is < 0 ? -most.Value : 0, least is null ? null : -least.Value));
            nodes.Connect(letter.End, negative, _end);
        }

        return letter.Start;
    }

    private Fragment Padding() => nodes.Repeat(() => nodes.Literal("0"), 0, MaxPadding);

    /// <summary>A bound as digits: the first one stands for 10^<see cref="Power"/>, and there are no trailing zeros.</summary>
    private sealed class Digits
    {
        public Digits(NumberBound bound)
        {
            var all = bound.Value.Digits.ToString(CultureInfo.InvariantCulture);
            Text = all.TrimEnd('0');
            Power = all.Length - 1 - bound.Value.Scale;
            IsExclusive = bound.IsExclusive;
        }

        public string Text { get; }

        public int Power { get; }

        public bool IsExclusive { get; }

        /// <summary>The comparison after one more digit. While all digits are equal, it is the number of equal digits.</summary>
        public int Next(int compared, int digit)
        {
            if (compared < 0)
                return compared;
            var own = compared < Text.Length ? Text[compared] - '0' : 0;
            return digit == own ? Math.Min(compared + 1, Text.Length) : digit < own ? Below : Above;
        }

        /// <summary>Compares a number that ends here with the bound's digits: below 0, 0 or above 0.</summary>
        public int Result(int compared) => compared switch { Below => -1, Above => 1, _ => compared < Text.Length ? -1 : 0 };
    }

    /// <summary>The digits before an exponent.</summary>
    private sealed class Mantissa(GrammarNodes nodes, NumberExponents exponents, NumberBound? low, NumberBound? high)
    {
        private const int Dead = -1;

        private readonly Digits? _low = low is { } bound ? new(bound) : null;
        private readonly Digits? _high = high is { } bound ? new(bound) : null;
        private readonly Dictionary<(int Power, bool IsFraction, int Low, int High, int Left), int> _places = [];

        public int Ways { get; private set; }

        public void Begin(int start)
        {
            Follow(start, 1, digit => Whole(1, Next(_low, 0, digit), Next(_high, 0, digit)));
            var (zeros, next) = (nodes.Literal("0."), Dead);
            var places = Enumerable.Range(0, MaxZeros + 1).Select(i => i == 0 ? zeros.End : nodes.Nothing().Start).ToArray();
            for (var i = MaxZeros; i >= 0; i--)
            {
                var power = -i - 1;
                var isAlive = Follow(places[i], 1, digit => Fraction(power, Next(_low, 0, digit), Next(_high, 0, digit), MaxOutside));
                if (next != Dead)
                    nodes.Connect(places[i], (byte)'0', (byte)'0', next);
                next = isAlive || next != Dead ? places[i] : Dead;
            }

            if (next != Dead)
                nodes.Connect(start, zeros.Start);
        }

        private static int Next(Digits? bound, int compared, int digit) => bound?.Next(compared, digit) ?? 0;

        // Digits that lead to one place share an edge. Returns whether any digit leads somewhere.
        private bool Follow(int from, int first, Func<int, int> to)
        {
            var (target, isAlive) = (to(first), false);
            for (var digit = first + 1; digit <= 10; digit++)
            {
                var next = digit <= 9 ? to(digit) : Dead - 1;
                if (next == target)
                    continue;
                if (target != Dead)
                    nodes.Connect(from, (byte)('0' + first), (byte)('0' + digit - 1), target);
                isAlive |= target != Dead && target != from;
                (first, target) = (digit, next);
            }

            return isAlive;
        }

        private int Whole(int count, int compareLow, int compareHigh)
        {
            var key = (count - 1, false, compareLow, compareHigh, 0);
            if (_places.TryGetValue(key, out var place))
                return place;
            _places.Add(key, place = nodes.Nothing().Start);
            var isAlive = End(place, count - 1, compareLow, compareHigh);
            if (count < MaxWhole)
                isAlive |= Follow(place, 0, digit => Whole(count + 1, Next(_low, compareLow, digit), Next(_high, compareHigh, digit)));
            var point = nodes.Nothing().Start;
            if (Follow(point, 0, digit => Fraction(count - 1, Next(_low, compareLow, digit), Next(_high, compareHigh, digit), MaxOutside)))
            {
                nodes.Connect(place, (byte)'.', (byte)'.', point);
                isAlive = true;
            }

            return isAlive ? place : _places[key] = Dead;
        }

        private int Fraction(int power, int compareLow, int compareHigh, int left)
        {
            left = IsInside(power, compareLow, compareHigh) ? MaxOutside : left - 1;
            var key = (power, true, compareLow, compareHigh, left);
            if (_places.TryGetValue(key, out var place))
                return place;
            _places.Add(key, place = nodes.Nothing().Start);
            var isAlive = End(place, power, compareLow, compareHigh);
            if (left > 0)
                isAlive |= Follow(place, 0, digit => Fraction(power, Next(_low, compareLow, digit), Next(_high, compareHigh, digit), left));
            return isAlive ? place : _places[key] = Dead;
        }

        // Whether the digits without an exponent are a number between the bounds.
        private bool IsInside(int power, int compareLow, int compareHigh)
        {
            var below = _low is null ? 1 : power != _low.Power ? power - _low.Power : _low.Result(compareLow);
            var above = _high is null ? -1 : power != _high.Power ? power - _high.Power : _high.Result(compareHigh);
            return (below > 0 || (below == 0 && !_low!.IsExclusive)) && (above < 0 || (above == 0 && !_high!.IsExclusive));
        }

        // The digits end here: adds the exponents that bring the number between the bounds.
        private bool End(int place, int power, int compareLow, int compareHigh)
        {
            if (power != 0 && !IsInside(power, compareLow, compareHigh))
                return false;
            int? least = null, most = null;
            if (_low is { } l)
                least = l.Power - power + (l.Result(compareLow) is var below && (below < 0 || (below == 0 && l.IsExclusive)) ? 1 : 0);
            if (_high is { } h)
                most = h.Power - power - (h.Result(compareHigh) is var above && (above > 0 || (above == 0 && h.IsExclusive)) ? 1 : 0);
            if (Math.Max(least ?? -MaxExponent, -MaxExponent) > Math.Min(most ?? MaxExponent, MaxExponent))
                return false;
            nodes.Connect(place, exponents.Exponent(least, most));
            Ways++;
            return true;
        }
    }
}
