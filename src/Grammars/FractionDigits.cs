namespace LocalLlm.Grammars;

/// <summary>
/// What may follow the whole part of a number if a bound has the same whole part: nothing, or a point and digits that stay within
/// the bounds.
/// </summary>
/// <param name="nodes">The rules.</param>
/// <param name="low">A lower bound with the same whole part; null: all fractions are above the lower bound.</param>
/// <param name="high">An upper bound with the same whole part; null: all fractions are below the upper bound.</param>
internal sealed class FractionDigits(GrammarNodes nodes, NumberBound? low, NumberBound? high)
{
    private readonly Dictionary<(int At, bool IsLow, bool IsHigh), int> _places = [];
    private readonly string _low = low?.Value.Fraction ?? "";
    private readonly string _high = high?.Value.Fraction ?? "";
    private int _end;
    private bool _hasEnd;

    /// <summary>The fragment of these texts; null: there are none.</summary>
    public Fragment? Make()
    {
        var start = nodes.Nothing().Start;
        _end = nodes.Nothing().Start;
        var first = nodes.Literal(".");
        nodes.Connect(start, first.Start);
        if (Ends(0, low is not null, high is not null))
            nodes.Connect(start, _end);

        // At least one digit must follow a point.
        Digits(first.End, 0, low is not null, high is not null);
        return _hasEnd ? new(start, _end) : null;
    }

    // Whether the number may end here. isLow and isHigh say whether the digits so far equal those of the lower or upper bound.
    private bool Ends(int at, bool isLow, bool isHigh)
    {
        var ends = (!isLow || (at >= _low.Length && !low!.Value.IsExclusive)) && (!isHigh || at < _high.Length || !high!.Value.IsExclusive);
        _hasEnd |= ends;
        return ends;
    }

    private int Place(int at, bool isLow, bool isHigh)
    {
        at = Math.Min(at, Math.Max(_low.Length, _high.Length));
        if (_places.TryGetValue((at, isLow, isHigh), out var place))
            return place;
        _places.Add((at, isLow, isHigh), place = nodes.Nothing().Start);
        if (Ends(at, isLow, isHigh))
            nodes.Connect(place, _end);
        Digits(place, at, isLow, isHigh);
        return place;
    }

    private void Digits(int from, int at, bool isLow, bool isHigh)
    {
        var lowest = !isLow ? '0' : at < _low.Length ? _low[at] : '0';
        var highest = !isHigh ? '9' : at < _high.Length ? _high[at] : '0';
        for (var digit = lowest; digit <= highest; digit++)
        {
            // If the bound itself is excluded, nothing that follows its last digit would be inside.
            var isAtHigh = isHigh && digit == highest;
            if (!isAtHigh || !high!.Value.IsExclusive || at + 1 < _high.Length)
                nodes.Connect(from, (byte)digit, (byte)digit, Place(at + 1, isLow && digit == lowest, isAtHigh));
        }
    }
}
