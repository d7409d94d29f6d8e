using System.Numerics;

namespace LocalLlm.Grammars;

/// <summary>
/// Objects whose properties come in any order, each once, with other properties between them if those are allowed. A place in the
/// grammar includes the set of properties seen so far, so places are created when a text reaches them. An object with several
/// possible shapes is read once: the place includes the shapes that are still possible (the subset construction, over names and
/// values).
/// </summary>
/// <param name="nodes">The rules.</param>
/// <param name="json">The grammar of JSON.</param>
/// <param name="budget">Pays for languages of names.</param>
/// <param name="known">Members that other objects have created.</param>
/// <param name="shapes">The possible shapes. All name the same properties in the same order.</param>
/// <param name="typeFirst">Whether <c>$type</c> comes before other properties.</param>
internal sealed class JsonSchemaObject(GrammarNodes nodes, JsonGrammar json, SchemaBudget budget, Dictionary<string, int> known, IReadOnlyList<SchemaObject> shapes, bool typeFirst)
{
    private const int Absent = -1;
    private const string TypeName = "$type";

    private readonly string[] _names = [.. shapes[0].Properties.Select(property => property.Name)];
    private readonly Dictionary<(BigInteger Seen, int Count, string Left), int> _places = [];
    private readonly List<ObjectVariant> _variants = [];
    private int _type;
    private int _counted;
    private int _end;

    /// <summary>One reading that is still possible: the shape of the object, and the demands met so far.</summary>
    private readonly record struct Reading(int Variant, int Met);

    /// <summary>The object, braces included. Call it once.</summary>
    /// <exception cref="UnsatisfiableException">There is no such object.</exception>
    public Fragment Make()
    {
        _type = typeFirst ? Array.IndexOf(_names, TypeName) : Absent;
        foreach (var shape in shapes)
        {
            var members = new (int Rule, int Met)[_names.Length][];
            for (var i = 0; i < _names.Length; i++)
                members[i] = [.. shape.Properties[i].Options.Select(option => (Member(shape.Properties[i].Name, option), option.Met)).Where(option => option.Item1 != Absent)];
            budget.TakeParts(_names.Length);
            var variant = new ObjectVariant(shape, members, [.. OtherMembers(shape)], budget);
            if (variant.IsPossible)
                _variants.Add(variant);
        }

        if (_variants.Count == 0)
            throw new UnsatisfiableException("no object has the properties that are required, and no others than are allowed");
        _counted = _variants.Max(variant => variant.Counted);
        _end = nodes.Nothing().Start;
        var begin = nodes.Sequence(nodes.Literal("{"), json.Space());
        var first = Place(0, 0, [.. _variants.Select((_, i) => new Reading(i, 0))]);
        nodes.EndsThrough(first, _end, [.. _variants.Select(variant => ObjectVariant.Bits(variant.Needed(0)).Select(i => variant.Members[i][0].Rule).ToArray())]);
        nodes.Connect(begin.End, first);
        return new(begin.Start, _end);
    }

    private int Member(string name, SchemaMember option)
    {
        var key = $"{name}\0{option.Key}";
        if (option.Key is not null && known.TryGetValue(key, out var same))
            return same;
        try
        {
            var rule = nodes.DeclareRule();
            var made = Value(option.Value());
            nodes.DefineRule(rule, nodes.Sequence(new JsonSchemaText(nodes).String(name), made));
            if (option.Key is not null)
                known[key] = rule;
            return rule;
        }
        catch (UnsatisfiableException)
        {
            return Absent;
        }
    }

    private Fragment Value(Fragment value) => nodes.Sequence(nodes.Literal(":"), json.Space(), value, json.Space());

    // Members with other names: one rule for each set of demands that such a member can meet.
    private IEnumerable<(int Rule, int Met)> OtherMembers(SchemaObject shape)
    {
        for (var met = 0; met < 1 << shape.DemandCount; met++)
        {
            if (OtherMember(shape, met) is var rule && rule != Absent)
                yield return (rule, met);
        }
    }

    private int OtherMember(SchemaObject shape, int met)
    {
        var values = new Dictionary<ulong, Fragment?>();
        var key = shape.OthersKey is null ? null : $"\0{shape.OthersKey}\0{met}\0{string.Join('\0', _names.Order(StringComparer.Ordinal))}";
        if (key is not null && known.TryGetValue(key, out var same))
            return same;
        try
        {
            var rule = nodes.DeclareRule();
            if (shape.Patterns.Count == 0)
            {
                if (ValueOf(0) is not { } value)
                    return Absent;
                nodes.DefineRule(rule, nodes.Sequence(new JsonSchemaText(nodes).StringOtherThan(_names), Value(value)));
            }
            else
            {
                var languages = new StringLanguages(budget);
                if (_names.Length > 0)
                    languages.Require((inner, text) => inner.Either([.. _names.Select(text.Characters)]), isWanted: false);
                foreach (var pattern in shape.Patterns)
                    languages.Tell(pattern);
                var end = nodes.Nothing().Start;
                var (start, ends) = languages.Make(nodes, isIn => ValueOf(isIn) is null ? -1 : (int)isIn);
                foreach (var (kind, at) in ends)
                    nodes.Connect(at, Value(ValueOf((ulong)kind)!.Value), end);
                nodes.DefineRule(rule, new(start, end));
            }

            if (key is not null)
                known[key] = rule;
            return rule;
        }
        catch (UnsatisfiableException)
        {
            return Absent;
        }

        Fragment? ValueOf(ulong patterns)
        {
            if (values.TryGetValue(patterns, out var known))
                return known;
            try
            {
                return values[patterns] = shape.Others(patterns).FirstOrDefault(option => option.Met == met)?.Value();
            }
            catch (UnsatisfiableException)
            {
                return values[patterns] = null;
            }
        }
    }

    // Members are counted only as far as it matters; 0 is the place before the first one.
    private int Place(BigInteger seen, int count, List<Reading> left)
    {
        count = Math.Min(count, _counted);
        var key = (seen, count, string.Join(' ', left.Select(reading => $"{reading.Variant}.{reading.Met}").Order(StringComparer.Ordinal)));
        if (!_places.TryGetValue(key, out var place))
            _places.Add(key, place = nodes.Lazy(start => Expand(start, seen, count, left)));
        return place;
    }

    private void Expand(int start, BigInteger seen, int count, List<Reading> left)
    {
        if (left.Exists(reading => _variants[reading.Variant].MayEnd(seen, count, reading.Met)))
            nodes.Connect(start, nodes.Literal("}"), _end);
        var next = start;
        var hasComma = count == 0;
        for (var i = 0; i < _names.Length; i++)
        {
            if (!((seen >> i) & 1).IsZero || (i == _type && count > 0))
                continue;
            var property = i;
            FollowAll(seen | (BigInteger.One << i), property, variant => variant.Members[property]);
        }

        FollowAll(seen, Absent, variant => variant.Others);

        // One edge per rule, whatever readings it serves.
        void FollowAll(BigInteger after, int property, Func<ObjectVariant, (int Rule, int Met)[]> members)
        {
            var ways = new Dictionary<int, HashSet<Reading>>();
            foreach (var (index, met) in left)
            {
                var variant = _variants[index];
                if (_type >= 0 && property != _type && !IsTypeSeen(variant, seen, count))
                    continue;
                foreach (var (rule, meets) in members(variant))
                {
                    if (nodes.IsEndless(rule) || !variant.CanEnd(after, count + 1, met | meets) || IsEndless(variant, after))
                        continue;
                    if (!ways.TryGetValue(rule, out var readings))
                        ways.Add(rule, readings = []);
                    readings.Add(new(index, met | meets));
                }
            }

            foreach (var (rule, readings) in ways)
                Follow(rule, Place(after, count + 1, [.. readings]));
        }

        void Follow(int member, int place)
        {
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

    // If the type is required, nothing comes before it.
    private bool IsTypeSeen(ObjectVariant variant, BigInteger seen, int count) => count > 0 ? !variant.Requires(_type) || !((seen >> _type) & 1).IsZero : !variant.Requires(_type);

    private bool IsEndless(ObjectVariant variant, BigInteger seen) => ObjectVariant.Bits(variant.Needed(seen)).Any(i => variant.Members[i].All(member => nodes.IsEndless(member.Rule)));
}
