using System.Numerics;

namespace LocalLlm.Sampling.Grammar;

/// <summary>A property that a schema names.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Value">Makes its value; null: it must be absent.</param>
internal sealed record SchemaProperty(string Name, Func<Fragment>? Value)
{
    /// <summary>Equal for values that are equal; null: not known.</summary>
    public string? ValueKey { get; init; }

    /// <summary>Whether it must be there.</summary>
    public bool IsRequired { get; init; }

    /// <summary>Names of properties that must be there beside it.</summary>
    public IReadOnlyList<string> Needs { get; init; } = [];
}

/// <summary>What an object must be.</summary>
internal sealed record SchemaObject
{
    /// <summary>The properties that are named.</summary>
    public required IReadOnlyList<SchemaProperty> Properties { get; init; }

    /// <summary>What tells other names apart.</summary>
    public IReadOnlyList<StringLanguages.Language> Patterns { get; init; } = [];

    /// <summary>From the languages that another name is in (bit i: the i-th) to what makes its value; null: there are no such properties.</summary>
    public required Func<int, Func<Fragment>?> Other { get; init; }

    /// <summary>Equal for equal values of all other names; null: not known.</summary>
    public string? OtherKey { get; init; }

    /// <summary>Fewest properties.</summary>
    public int Least { get; init; }

    /// <summary>Most properties; null: any number.</summary>
    public int? Most { get; init; }
}

/// <summary>
/// Objects whose properties come in any order, each once, with others between them where they are allowed. Which ones were there is part of the place in the grammar, so places are made when a text comes there.
/// </summary>
/// <param name="nodes">The rules.</param>
/// <param name="json">JSON as such.</param>
/// <param name="budget">What languages of names may need.</param>
/// <param name="known">Members that other objects have made.</param>
/// <param name="shape">What it must be.</param>
internal sealed class JsonSchemaObject(GrammarNodes nodes, JsonGrammar json, SchemaBudget budget, Dictionary<string, int> known, SchemaObject shape)
{
    private const int Absent = -1;
    private const int MostSets = 200; // beyond that it is taken for possible
    private const int MostSearched = 30;
    private readonly Dictionary<(BigInteger Seen, int Count), bool> _ends = [];
    private readonly Dictionary<(BigInteger Seen, int Count), int> _places = [];
    private readonly int[] _members = new int[shape.Properties.Count];
    private readonly BigInteger[] _needs = new BigInteger[shape.Properties.Count];
    private int _other = Absent;
    private readonly bool _hasNeeds = shape.Properties.Any(property => property.Needs.Count > 0);
    private BigInteger _impossible;
    private BigInteger _required;
    private int _end;

    /// <summary>The object, braces included. To be called once.</summary>
    /// <exception cref="UnsatisfiableException">There is none.</exception>
    public Fragment Make()
    {
        var names = shape.Properties.Select((property, i) => (property.Name, i)).ToDictionary(pair => pair.Name, pair => pair.i);
        for (var i = 0; i < _members.Length; i++)
        {
            _members[i] = Member(shape.Properties[i]);
            if (shape.Properties[i].IsRequired)
                _required |= BigInteger.One << i;
            foreach (var needed in shape.Properties[i].Needs)
                _needs[i] |= BigInteger.One << names[needed];
        }

        _other = OtherMembers();
        CloseNeeds();
        ForbidWhatCannotBe();
        if (shape.Most < shape.Least || (_required & _impossible) != 0 || !CanEnd(0, 0))
            throw new UnsatisfiableException("no object has the properties that are required, and no others than are allowed");
        _end = nodes.Nothing().Start;
        var begin = nodes.Sequence(nodes.Literal("{"), json.Space());
        var first = Place(0, 0);
        nodes.EndsThrough(first, _end, [.. Bits(Needed(0)).Select(i => _members[i])]);
        nodes.Connect(begin.End, first);
        return new(begin.Start, _end);
    }

    private int Member(SchemaProperty property)
    {
        if (property.Value is not { } value)
            return Absent;
        var key = $"{property.Name}\0{property.ValueKey}";
        if (property.ValueKey is not null && known.TryGetValue(key, out var same))
            return same;
        try
        {
            var rule = nodes.DeclareRule();
            var made = Value(value());
            nodes.DefineRule(rule, nodes.Sequence(new JsonSchemaText(nodes).String(property.Name), made));
            if (property.ValueKey is not null)
                known[key] = rule;
            return rule;
        }
        catch (UnsatisfiableException)
        {
            return Absent;
        }
    }

    private Fragment Value(Fragment value) => nodes.Sequence(nodes.Literal(":"), json.Space(), value, json.Space());

    private int OtherMembers()
    {
        var values = new Dictionary<int, Fragment?>();
        var names = shape.Properties.Select(property => property.Name).ToArray();
        try
        {
            int rule;
            if (shape.Patterns.Count == 0)
            {
                var key = $"\0{shape.OtherKey}\0{string.Join('\0', names.Order(StringComparer.Ordinal))}";
                if (shape.OtherKey is not null && known.TryGetValue(key, out var same))
                    return same;
                if (ValueOf(0) is not { } value)
                    return Absent;
                rule = nodes.DeclareRule();
                nodes.DefineRule(rule, nodes.Sequence(new JsonSchemaText(nodes).StringOtherThan(names), Value(value)));
                if (shape.OtherKey is not null)
                    known[key] = rule;
                return rule;
            }

            var languages = new StringLanguages(budget);
            if (names.Length > 0)
                languages.Require((inner, text) => inner.Either([.. names.Select(text.Characters)]), isWanted: false);
            foreach (var pattern in shape.Patterns)
                languages.Tell(pattern);
            var end = nodes.Nothing().Start;
            var (start, ends) = languages.Make(nodes, isIn => ValueOf((int)isIn) is null ? -1 : (int)isIn);
            foreach (var (kind, at) in ends)
                nodes.Connect(at, Value(ValueOf(kind)!.Value), end);
            rule = nodes.DeclareRule();
            nodes.DefineRule(rule, new(start, end));
            return rule;
        }
        catch (UnsatisfiableException)
        {
            return Absent;
        }

        Fragment? ValueOf(int patterns)
        {
            if (values.TryGetValue(patterns, out var known))
                return known;
            try
            {
                return values[patterns] = shape.Other(patterns)?.Invoke();
            }
            catch (UnsatisfiableException)
            {
                return values[patterns] = null;
            }
        }
    }

    // All that a property needs, also by what it needs.
    private void CloseNeeds()
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

    // A property that needs one which cannot be is impossible itself.
    private void ForbidWhatCannotBe()
    {
        for (var i = 0; i < _members.Length; i++)
        {
            if (_members[i] < 0)
                _impossible |= BigInteger.One << i;
        }

        var absent = _impossible;
        for (var i = 0; i < _members.Length; i++)
        {
            if (_members[i] < 0 || (_needs[i] & absent).IsZero)
                continue;
            _members[i] = Absent;
            _impossible |= BigInteger.One << i;
        }
    }

    // What must be there where these have been there.
    private BigInteger Needed(BigInteger seen)
    {
        var needed = _required;
        foreach (var i in _hasNeeds ? Bits(_required | seen) : [])
            needed |= _needs[i];
        return needed & ~seen;
    }

    private static IEnumerable<int> Bits(BigInteger bits)
    {
        var bytes = bits.ToByteArray();
        for (var i = 0; i < bytes.Length * 8; i++)
        {
            if ((bytes[i / 8] >> (i % 8) & 1) != 0)
                yield return i;
        }
    }

    // Whether members can follow that end an object with as many as are allowed. Where they need each other they come in groups, and not every number can be reached.
    private bool CanEnd(BigInteger seen, int count)
    {
        if (shape.Least == 0 && shape.Most is null)
            return true;
        if (_ends.TryGetValue((seen, count), out var known))
            return known;
        var first = seen | Needed(seen);
        return _ends[(seen, count)] = _hasNeeds && _members.Length <= MostSearched ? Reaches(first, seen, count) : IsWithin(first, seen, count);
    }

    // Members that come one by one reach every number up to all of them.
    private bool IsWithin(BigInteger set, BigInteger seen, int count)
    {
        var total = count + BitCount(set & ~seen);
        var all = (BigInteger.One << _members.Length) - 1;
        return total <= (shape.Most ?? int.MaxValue) && (total >= shape.Least || _other >= 0 || total + BitCount(all & ~set & ~_impossible) >= shape.Least);
    }

    private bool Reaches(BigInteger first, BigInteger seen, int count)
    {
        var sets = new HashSet<BigInteger> { first };
        var open = new Stack<BigInteger>(sets);
        while (open.TryPop(out var set))
        {
            var total = count + BitCount(set & ~seen);
            if (total > (shape.Most ?? int.MaxValue))
                continue;
            if (total >= shape.Least || _other >= 0 || sets.Count > MostSets)
                return true;
            for (var i = 0; i < _members.Length; i++)
            {
                if (_members[i] >= 0 && (set >> i).IsEven && (set | (BigInteger.One << i) | _needs[i]) is var larger && sets.Add(larger))
                    open.Push(larger);
            }
        }

        return false;
    }

    private static int BitCount(BigInteger bits) => bits.ToByteArray().Sum(part => System.Numerics.BitOperations.PopCount(part));

    // Members are counted no further than it matters; 0 is the place before the first one.
    private int Place(BigInteger seen, int count)
    {
        count = Math.Min(count, Math.Max(1, Math.Max(shape.Least, shape.Most ?? 0)));
        if (!_places.TryGetValue((seen, count), out var place))
            _places.Add((seen, count), place = nodes.Lazy(start => Expand(start, seen, count)));
        return place;
    }

    private void Expand(int start, BigInteger seen, int count)
    {
        var needed = Needed(seen);
        if (needed == 0 && count >= shape.Least)
            nodes.Connect(start, nodes.Literal("}"), _end);
        var next = start;
        var hasComma = count == 0;
        for (var i = 0; i < _members.Length; i++)
        {
            if (_members[i] < 0 || !(seen >> i).IsEven)
                continue;
            var after = seen | (BigInteger.One << i);
            if (CanEnd(after, count + 1))
                Follow(_members[i], Place(after, count + 1));
        }

        if (_other >= 0 && CanEnd(seen, count + 1))
            Follow(_other, Place(seen, count + 1));

        void Follow(int member, int place)
        {
            if (nodes.IsEndless(member))
                return;
            if (!hasComma)
            {
                var comma = nodes.Sequence(nodes.Literal(","), json.Space());
                nodes.Connect(start, nodes.Nothing(), comma.Start);
                next = comma.End;
                hasComma = true;
            }

            nodes.Connect(next, member, place);
        }
    }
}
