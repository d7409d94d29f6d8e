using System.Numerics;

namespace LocalLlm.Grammars;

/// <summary>One possible shape of an object, with rules for its members; decides which sets of members can form a whole object.</summary>
internal sealed class ObjectVariant
{
    private const int MaxSets = 200; // with more sets the object counts as possible
    private const int MaxSearched = 30;

    private readonly SchemaObject _shape;
    private readonly BigInteger[] _needs;
    private readonly BigInteger _required;
    private readonly BigInteger _all;
    private readonly bool _hasNeeds;
    private readonly Dictionary<(BigInteger Seen, int Count, int Met), bool> _ends = [];

    /// <param name="shape">The shape.</param>
    /// <param name="members">For each property, the rules of its members with the demands that they meet. The variant keeps the
    /// array and removes impossible members from it.</param>
    /// <param name="others">The same for members with other names.</param>
    /// <param name="budget">Pays for the work.</param>
    public ObjectVariant(SchemaObject shape, (int Rule, int Met)[][] members, (int Rule, int Met)[] others, SchemaBudget budget)
    {
        _shape = shape;
        Members = members;
        Others = others;
        _all = (BigInteger.One << members.Length) - 1;
        _needs = new BigInteger[members.Length];
        _hasNeeds = shape.Properties.Any(property => property.Needs.Count > 0);
        var names = _hasNeeds ? shape.Properties.Select((property, i) => (property.Name, i)).ToDictionary(pair => pair.Name, pair => pair.i) : [];
        for (var i = 0; i < members.Length; i++)
        {
            if (shape.Properties[i].IsRequired)
                _required |= BigInteger.One << i;
            foreach (var needed in shape.Properties[i].Needs)
                _needs[i] |= BigInteger.One << names[needed];
        }

        CloseNeeds(budget);
        ForbidWhatCannotBe();
        IsPossible = !(shape.Most < shape.Least) && (_required & Impossible) == 0 && CanEnd(0, 0, 0);
    }

    /// <summary>Whether such an object exists.</summary>
    public bool IsPossible { get; }

    /// <summary>For each property, the rules of its members with the demands that they meet.</summary>
    public (int Rule, int Met)[][] Members { get; }

    /// <summary>The rules of members with other names.</summary>
    public (int Rule, int Met)[] Others { get; }

    /// <summary>Counts above this are equivalent.</summary>
    public int Counted => Math.Max(1, Math.Max(_shape.Least, _shape.Most ?? 0));

    /// <summary>Whether a property is required.</summary>
    public bool Requires(int property) => !((_required >> property) & 1).IsZero;

    private int AllMet => (1 << _shape.DemandCount) - 1;

    private BigInteger Impossible { get; set; }

    /// <summary>Whether an object may end here.</summary>
    public bool MayEnd(BigInteger seen, int count, int met) => met == AllMet && count >= _shape.Least && Needed(seen).IsZero;

    /// <summary>The properties that must still come after the given ones.</summary>
    public BigInteger Needed(BigInteger seen)
    {
        var needed = _required;
        foreach (var i in _hasNeeds ? Bits(_required | seen) : [])
            needed |= _needs[i];
        return needed & ~seen;
    }

    /// <summary>
    /// Whether further members can complete the object within the maximum. Members that need each other come in groups, so some
    /// counts cannot be reached.
    /// </summary>
    public bool CanEnd(BigInteger seen, int count, int met)
    {
        if (_shape.Least == 0 && _shape.Most is null && met == AllMet)
            return true;
        if (_ends.TryGetValue((seen, count, met), out var known))
            return known;
        return _ends[(seen, count, met)] = Meets(seen | Needed(seen), seen, count, 0, met);
    }

    /// <summary>The indices of the set bits.</summary>
    public static IEnumerable<int> Bits(BigInteger bits)
    {
        var bytes = bits.ToByteArray();
        for (var i = 0; i < bytes.Length * 8; i++)
        {
            if ((bytes[i / 8] >> (i % 8) & 1) != 0)
                yield return i;
        }
    }

    // Chooses members that meet the open demands, one demand at a time.
    private bool Meets(BigInteger first, BigInteger seen, int count, int others, int met)
    {
        var open = AllMet & ~met;
        if (count + others + BitCount(first & ~seen) > (_shape.Most ?? int.MaxValue))
            return false;
        if (open == 0)
            return _hasNeeds && Members.Length <= MaxSearched ? Reaches(first, seen, count + others) : IsWithin(first, seen, count + others);
        var demand = open & -open;
        foreach (var (_, meets) in Others)
        {
            if ((meets & demand) != 0 && Meets(first, seen, count, others + 1, met | meets))
                return true;
        }

        for (var i = 0; i < Members.Length; i++)
        {
            if (!((seen >> i) & 1).IsZero || Members[i].Length == 0)
                continue;
            foreach (var (_, meets) in Members[i])
            {
                if ((meets & demand) != 0 && Meets(first | (BigInteger.One << i) | _needs[i], seen, count, others, met | meets))
                    return true;
            }
        }

        return false;
    }

    // Everything that a property needs, directly or indirectly.
    private void CloseNeeds(SchemaBudget budget)
    {
        for (var i = 0; i < _needs.Length && _hasNeeds; i++)
        {
            budget.TakeParts(1);
            var (all, open) = (_needs[i], _needs[i]);
            while (!open.IsZero)
            {
                var found = BigInteger.Zero;
                foreach (var j in Bits(open))
                    found |= _needs[j];
                open = found & ~all;
                all |= found;
            }

            _needs[i] = all;
        }
    }

    // A property that needs an impossible one is impossible too.
    private void ForbidWhatCannotBe()
    {
        for (var i = 0; i < Members.Length; i++)
        {
            if (Members[i].Length == 0)
                Impossible |= BigInteger.One << i;
        }

        var absent = Impossible;
        for (var i = 0; i < Members.Length; i++)
        {
            if (Members[i].Length == 0 || (_needs[i] & absent).IsZero)
                continue;
            Members[i] = [];
            Impossible |= BigInteger.One << i;
        }
    }

    // Members that come one by one can reach every count up to all of them.
    private bool IsWithin(BigInteger set, BigInteger seen, int count)
    {
        var total = count + BitCount(set & ~seen);
        return total <= (_shape.Most ?? int.MaxValue) && (total >= _shape.Least || Others.Length > 0 || total + BitCount(_all & ~set & ~Impossible) >= _shape.Least);
    }

    private bool Reaches(BigInteger first, BigInteger seen, int count)
    {
        var sets = new HashSet<BigInteger> { first };
        var open = new Stack<BigInteger>(sets);
        while (open.TryPop(out var set))
        {
            var total = count + BitCount(set & ~seen);
            if (total > (_shape.Most ?? int.MaxValue))
                continue;
            if (total >= _shape.Least || Others.Length > 0 || sets.Count > MaxSets)
                return true;
            for (var i = 0; i < Members.Length; i++)
            {
                if (Members[i].Length > 0 && (set >> i).IsEven && (set | (BigInteger.One << i) | _needs[i]) is var larger && sets.Add(larger))
                    open.Push(larger);
            }
        }

        return false;
    }

    private static int BitCount(BigInteger bits) => bits.ToByteArray().Sum(part => BitOperations.PopCount(part));
}
