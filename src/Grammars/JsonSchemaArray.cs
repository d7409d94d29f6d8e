using System.Numerics;
using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>
/// Arrays with schemas for single positions, with conditions on how many items are of a kind, or with unique items. A place in
/// the grammar includes how far the text has come, so places are created when a text reaches them.
/// </summary>
/// <param name="nodes">The rules.</param>
/// <param name="json">The grammar of JSON.</param>
/// <param name="shape">The conditions on the array.</param>
/// <param name="value">Creates the values that satisfy some parts.</param>
/// <param name="values">The values that satisfy some parts, with a text of each; null: there are not few.</param>
internal sealed class JsonSchemaArray(GrammarNodes nodes, JsonGrammar json, SchemaShape shape, Func<IReadOnlyList<SchemaPart>, Fragment> value, Func<IReadOnlyList<SchemaPart>, IReadOnlyList<Fragment>?> values)
{
    private const int MaxDemands = 4;
    private const int MaxPrefix = 1_000;

    private readonly List<(List<(JsonElement Schema, string At)> Prefix, JsonElement? Others, string OthersAt)> _groups = [.. shape.Items.Select(items => Read(items.Schema, items.At))];
    private readonly Dictionary<string, int> _places = [];
    private readonly Dictionary<(int Index, int Witnessed), int?> _items = [];
    private readonly Dictionary<int, int> _distinctRules = [];
    private IReadOnlyList<Fragment>? _distinct;
    private readonly Dictionary<string, bool> _ends = [];
    private int _prefix;
    private int _counted;
    private int _end;

    /// <summary>The array, brackets included. Call it once.</summary>
    /// <exception cref="UnsatisfiableException">No array satisfies the conditions.</exception>
    /// <exception cref="GrammarException">A condition cannot be enforced.</exception>
    public Fragment Make()
    {
        if (shape.ItemCount.IsEmpty)
            throw new UnsatisfiableException($"no number of items lies between {shape.ItemCount.Least} and {shape.ItemCount.Most}");
        if (shape.Demands.Count > MaxDemands)
            throw new GrammarException($"{shape.Demands[MaxDemands].Item.At}: more than {MaxDemands} conditions on the number of items of a kind");
        _prefix = _groups.Count == 0 ? 0 : _groups.Max(group => group.Prefix.Count);
        if (_prefix > MaxPrefix)
            throw new GrammarException($"{_groups[0].OthersAt}: {_prefix} items with places of their own; at most {MaxPrefix}");
        if (shape.UniqueAt is not null && shape.ItemCount.Most is not (0 or 1))
        {
            _distinct = _prefix == 0 && shape.Demands.Count == 0 ? values(PartsOf(0, 0)) : null;
            if (_distinct is null && IsMoreThanOnePossible())
                throw new GrammarException($"{shape.UniqueAt}: can be enforced only if the items come from a few constants");
        }

        _counted = Math.Max(Math.Max(1, _prefix), Math.Max(shape.ItemCount.Least, shape.ItemCount.Most ?? 0));
        if (shape.Demands.Count > 0 && Math.Max(_counted, shape.Demands.Max(demand => Math.Max(demand.Least, demand.Most ?? 0))) > MaxPrefix)
            throw new GrammarException($"{shape.Demands[0].Item.At}: with 'contains' at most {MaxPrefix} items can be counted");
        MakeItems();
        _end = nodes.Nothing().Start;
        if (_distinct is null && !CanBeLongEnough())
            throw new UnsatisfiableException("items are required and none is possible");
        if (_distinct is not null && _distinct.Count < shape.ItemCount.Least)
            throw new UnsatisfiableException("more items are required than there are values");
        var begin = nodes.Sequence(nodes.Literal("["), json.Space());
        var first = Place(0, new int[shape.Demands.Count], BigInteger.Zero);
        if (_distinct is null && shape.Demands.Count == 0)
            nodes.EndsThrough(first, _end, [[.. Enumerable.Range(0, Math.Min(shape.ItemCount.Least, _prefix + 1)).Select(index => ItemAt(index, 0)).OfType<int>()]]);
        nodes.Connect(begin.End, first);
        return new(begin.Start, _end);
    }

    private static (List<(JsonElement Schema, string At)> Prefix, JsonElement? Others, string OthersAt) Read(JsonElement schema, string at)
    {
        if (schema.TryGetProperty("items", out var items) && items.ValueKind == JsonValueKind.Array)
            return ([.. SchemaWords.Items(schema, at, "items")], schema.TryGetProperty("additionalItems", out var others) ? others : null, $"{at}/additionalItems");
        return ([.. SchemaWords.Items(schema, at, "prefixItems")], items.ValueKind == JsonValueKind.Undefined ? null : items, $"{at}/items");
    }

    // Creates all items now: what cannot be enforced must be reported before a text reaches it.
    private void MakeItems()
    {
        for (var index = 0; index <= _prefix && _distinct is null && index < (shape.ItemCount.Most ?? int.MaxValue); index++)
        {
            for (var witnessed = 0; witnessed < 1 << shape.Demands.Count; witnessed++)
                ItemAt(index, witnessed);
        }

        for (var i = 0; i < _distinct?.Count; i++)
            DistinctRule(i);
    }

    private bool IsMoreThanOnePossible() => Enumerable.Range(0, _prefix + 1).TakeWhile(index => ItemAt(index, 0) is not null).Count() > Math.Min(1, _prefix);

    // Whether there are items up to the minimum, and some of every required kind, as far as can be decided without a search.
    private bool CanBeLongEnough()
    {
        for (var index = 0; index < Math.Min(shape.ItemCount.Least, _prefix + 1); index++)
        {
            if (Enumerable.Range(0, 1 << shape.Demands.Count).All(witnessed => ItemAt(index, witnessed) is null))
                return false;
        }

        return CanEnd(0, new int[shape.Demands.Count]);
    }

    private List<SchemaPart> PartsOf(int index, int witnessed)
    {
        var parts = new List<SchemaPart>(shape.EveryItem);
        foreach (var (prefix, rest, restAt) in _groups)
        {
            if (index < prefix.Count)
                parts.Add(SchemaPart.Holds(prefix[index].Schema, prefix[index].At));
            else if (rest is { } schema)
                parts.Add(SchemaPart.Holds(schema, restAt));
        }

        for (var demand = 0; demand < shape.Demands.Count; demand++)
        {
            // With an upper bound, every item of the kind counts, so an item that does not count must not be of the kind.
            if ((witnessed >> demand & 1) != 0)
                parts.Add(shape.Demands[demand].Item);
            else if (shape.Demands[demand].Most is not null)
                parts.Add(shape.Demands[demand].Item with { IsNegated = !shape.Demands[demand].Item.IsNegated });
        }

        return parts;
    }

    // The rule of an item and the space after it; null: there is no such item.
    private int? ItemAt(int index, int witnessed)
    {
        index = Math.Min(index, _prefix);
        if (_items.TryGetValue((index, witnessed), out var known))
            return known;
        try
        {
            var rule = nodes.DeclareRule();
            nodes.DefineRule(rule, nodes.Sequence(value(PartsOf(index, witnessed)), json.Space()));
            return _items[(index, witnessed)] = rule;
        }
        catch (UnsatisfiableException)
        {
            return _items[(index, witnessed)] = null;
        }
    }

    private int Place(int index, int[] counts, BigInteger seen)
    {
        index = Math.Min(index, _counted);
        var key = $"{index} {seen} {string.Join(' ', counts)}";
        if (!_places.TryGetValue(key, out var place))
            _places.Add(key, place = nodes.Lazy(start => Expand(start, index, counts, seen)));
        return place;
    }

    private void Expand(int start, int index, int[] counts, BigInteger seen)
    {
        var most = shape.ItemCount.Most;
        if (MayEnd(index, counts))
            nodes.Connect(start, nodes.Literal("]"), _end);
        if (index >= most)
            return;
        var next = index == 0 ? start : -1;
        for (var i = 0; i < _distinct?.Count; i++)
        {
            if ((seen >> i).IsEven)
                Follow(DistinctRule(i), Place(index + 1, counts, seen | (BigInteger.One << i)));
        }

        for (var witnessed = 0; _distinct is null && witnessed < 1 << shape.Demands.Count; witnessed++)
        {
            if (Counted(counts, witnessed) is { } after && CanEnd(index + 1, after) && ItemAt(index, witnessed) is { } rule)
                Follow(rule, Place(index + 1, after, seen));
        }

        void Follow(int rule, int place)
        {
            if (nodes.IsEndless(rule))
                return;
            if (next < 0)
            {
                var comma = nodes.Sequence(nodes.Literal(","), json.Space());
                nodes.Connect(start, comma.Start);
                next = comma.End;
            }

            nodes.Connect(next, rule, place);
        }
    }

    // Without an upper bound a demand is not counted once it is met. Null: too many.
    private int[]? Counted(int[] counts, int witnessed)
    {
        var after = counts.ToArray();
        for (var demand = 0; demand < after.Length; demand++)
        {
            if ((witnessed >> demand & 1) == 0)
                continue;
            if (shape.Demands[demand].Most is null && after[demand] >= shape.Demands[demand].Least)
                return null;
            if (++after[demand] > (shape.Demands[demand].Most ?? int.MaxValue))
                return null;
        }

        return after;
    }

    // Whether an array can end from here.
    private bool CanEnd(int index, int[] counts)
    {
        index = Math.Min(index, _counted);
        if (shape.Demands.Count == 0)
            return true; // CanBeLongEnough ensures it
        var key = $"{index} {string.Join(' ', counts)}";
        if (_ends.TryGetValue(key, out var known))
            return known;

        // Counts never fall, so the search can meet only this key again.
        _ends[key] = false;
        return _ends[key] = MayEnd(index, counts) || (index < (shape.ItemCount.Most ?? int.MaxValue) && Enumerable.Range(0, 1 << shape.Demands.Count).Any(witnessed =>
            Counted(counts, witnessed) is { } after && ItemAt(index, witnessed) is not null && CanEnd(index + 1, after)));
    }

    private bool MayEnd(int index, int[] counts) => index >= shape.ItemCount.Least && !shape.Demands.Where((demand, i) => counts[i] < demand.Least).Any();

    private int DistinctRule(int i)
    {
        if (!_distinctRules.TryGetValue(i, out var rule))
        {
            _distinctRules.Add(i, rule = nodes.DeclareRule());
            nodes.DefineRule(rule, nodes.Sequence(_distinct![i], json.Space()));
        }

        return rule;
    }
}
