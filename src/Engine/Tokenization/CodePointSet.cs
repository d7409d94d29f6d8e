namespace LocalLlm.Tokenization;

/// <summary>A set of code points as a regular expression writes it: ranges, general categories, shorthands, sets within sets.</summary>
internal abstract class CodePointSet
{
    public abstract bool Contains(int codePoint);

    public static CodePointSet Range(int first, int last) => new RangeSet(first, last);

    public static CodePointSet Categories(uint categories) => new Predicate(c => CodePoints.Is(c, categories));

    public static CodePointSet Where(Func<int, bool> predicate) => new Predicate(predicate);

    public static CodePointSet AnyOf(IReadOnlyList<CodePointSet> sets) => sets.Count == 1 ? sets[0] : new Union([.. sets]);

    public CodePointSet And(CodePointSet other) => new Predicate(c => Contains(c) && other.Contains(c));

    public CodePointSet Negated() => new Predicate(c => !Contains(c));

    /// <summary>The set with every member's other cases.</summary>
    public CodePointSet IgnoringCase() => new CaseInsensitive(this);

    private sealed class RangeSet(int first, int last) : CodePointSet
    {
        public override bool Contains(int codePoint) => codePoint >= first && codePoint <= last;
    }

    private sealed class Predicate(Func<int, bool> predicate) : CodePointSet
    {
        public override bool Contains(int codePoint) => predicate(codePoint);
    }

    private sealed class Union(CodePointSet[] sets) : CodePointSet
    {
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
        public override bool Contains(int codePoint)
        {
            if (set.Contains(codePoint))
                return true;
            if (codePoint is >= 0xD800 and <= 0xDFFF)
                return false;
            var folded = CodePoints.Fold(codePoint);
            return set.Contains(folded)
                || set.Contains(System.Text.Rune.ToUpperInvariant(new System.Text.Rune(folded)).Value)
                || folded == 's' && set.Contains(0x17F) || folded == 'k' && set.Contains(0x212A);
        }
    }
}
