using System.Text;

namespace LocalLlm.Primitives;

/// <summary>
/// A set of code points as written in a regular expression: ranges, general categories, shorthands, nested sets. Immutable.
/// </summary>
public abstract class CodePointSet
{
    private protected CodePointSet()
    {
    }

    /// <summary>The members as ascending, disjoint ranges.</summary>
    public abstract IReadOnlyList<(int First, int Last)> Ranges { get; }

    /// <summary>Whether a code point is a member.</summary>
    /// <param name="codePoint">The code point.</param>
    public abstract bool Contains(int codePoint);

    /// <summary>The code points of given ranges, in any order.</summary>
    /// <param name="ranges">The ranges, both ends included.</param>
    public static CodePointSet Of(params IEnumerable<(int First, int Last)> ranges)
    {
        var merged = new List<(int First, int Last)>();
        foreach (var range in ranges.Order())
        {
            if (merged.Count > 0 && range.First <= merged[^1].Last + 1)
                merged[^1] = (merged[^1].First, Math.Max(merged[^1].Last, range.Last));
            else
                merged.Add(range);
        }

        return merged is [var only] ? new RangeSet(only.First, only.Last) : new RangeList([.. merged]);
    }

    /// <summary>The code points of given general categories.</summary>
    /// <param name="categories">One bit per category, as in <see cref="CodePoints"/>.</param>
    public static CodePointSet Categories(uint categories) => new Predicate(c => CodePoints.Is(c, categories));

    /// <summary>The code points that satisfy a predicate.</summary>
    /// <param name="predicate">Whether a code point is a member; must always return the same.</param>
    public static CodePointSet Where(Func<int, bool> predicate) => new Predicate(predicate);

    /// <summary>The union of sets.</summary>
    /// <param name="sets">The sets.</param>
    public static CodePointSet AnyOf(IReadOnlyList<CodePointSet> sets)
    {
        ArgumentNullException.ThrowIfNull(sets);
        return sets.Count == 1 ? sets[0]
            : sets.All(set => set is RangeSet or RangeList) ? Of(sets.SelectMany(set => set.Ranges))
            : new Union([.. sets]);
    }

    /// <summary>The intersection of both sets.</summary>
    /// <param name="other">The other set.</param>
    public CodePointSet And(CodePointSet other) => new Predicate(c => Contains(c) && other.Contains(c));

    /// <summary>The complement of the set.</summary>
    public virtual CodePointSet Negated() => new Predicate(c => !Contains(c));

    /// <summary>The set extended by every member's case variants.</summary>
    public CodePointSet IgnoringCase() => new CaseInsensitive(this);

    // Tests every code point once, and only if a caller reads the ranges.
    private static (int First, int Last)[] Found(CodePointSet set)
    {
        var ranges = new List<(int First, int Last)>();
        for (int codePoint = 0, first = -1; codePoint <= CodePoints.Last + 1; codePoint++)
        {
            var isMember = codePoint <= CodePoints.Last && set.Contains(codePoint);
            if (isMember && first < 0)
                first = codePoint;
            if (isMember || first < 0)
                continue;
            ranges.Add((first, codePoint - 1));
            first = -1;
        }

        return [.. ranges];
    }

    private static CodePointSet Others(IReadOnlyList<(int First, int Last)> ranges)
    {
        var rest = new List<(int First, int Last)>();
        var next = 0;
        foreach (var (first, last) in ranges)
        {
            if (first > next)
                rest.Add((next, first - 1));
            next = last + 1;
        }

        if (next <= CodePoints.Last)
            rest.Add((next, CodePoints.Last));
        return Of(rest);
    }

    private sealed class RangeSet(int first, int last) : CodePointSet
    {
        public override IReadOnlyList<(int First, int Last)> Ranges => [(first, last)];

        public override bool Contains(int codePoint) => codePoint >= first && codePoint <= last;

        public override CodePointSet Negated() => Others(Ranges);
    }

    private sealed class RangeList((int First, int Last)[] ranges) : CodePointSet
    {
        public override IReadOnlyList<(int First, int Last)> Ranges => ranges;

        public override bool Contains(int codePoint)
        {
            foreach (var (first, last) in ranges)
            {
                if (codePoint <= last)
                    return codePoint >= first;
            }

            return false;
        }

        public override CodePointSet Negated() => Others(ranges);
    }

    private sealed class Predicate(Func<int, bool> predicate) : CodePointSet
    {
        private (int First, int Last)[]? _ranges;

        public override IReadOnlyList<(int First, int Last)> Ranges => _ranges ??= Found(this);

        public override bool Contains(int codePoint) => predicate(codePoint);
    }

    private sealed class Union(CodePointSet[] sets) : CodePointSet
    {
        public override IReadOnlyList<(int First, int Last)> Ranges => Of(sets.SelectMany(set => set.Ranges)).Ranges;

        public override bool Contains(int codePoint)
        {
            foreach (var set in sets)
            {
                if (set.Contains(codePoint))
                    return true;
            }

            return false;
        }
    }

    private sealed class CaseInsensitive(CodePointSet set) : CodePointSet
    {
        private (int First, int Last)[]? _ranges;

        public override IReadOnlyList<(int First, int Last)> Ranges => _ranges ??= Found(this);

        public override bool Contains(int codePoint)
        {
            if (set.Contains(codePoint))
                return true;
            if (codePoint is >= 0xD800 and <= 0xDFFF)
                return false;
            var folded = CodePoints.Fold(codePoint);
            return set.Contains(folded)
                || set.Contains(Rune.ToUpperInvariant(new Rune(folded)).Value)
                || folded == 's' && set.Contains(0x17F) || folded == 'k' && set.Contains(0x212A);
        }
    }
}
