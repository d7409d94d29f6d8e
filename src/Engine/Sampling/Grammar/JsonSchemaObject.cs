using System.Numerics;

namespace LocalLlm.Sampling.Grammar;

/// <summary>A property that a schema names.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Value">Makes its value; null: it must be absent.</param>
/// <param name="IsRequired">Whether it must be there.</param>
internal sealed record SchemaProperty(string Name, Func<Fragment>? Value, bool IsRequired);

/// <summary>
/// Objects whose properties come in any order, each once, with others between them where they are allowed. Which ones were there is part of the place in the grammar, so places are made when a text comes there.
/// </summary>
/// <param name="nodes">The rules.</param>
/// <param name="json">JSON as such.</param>
/// <param name="properties">The properties that are named.</param>
/// <param name="additional">Makes the value of another property; null: there are none.</param>
internal sealed class JsonSchemaObject(GrammarNodes nodes, JsonGrammar json, IReadOnlyList<SchemaProperty> properties, Func<Fragment>? additional)
{
    private readonly Dictionary<(BigInteger Seen, bool IsFirst), int> _places = [];
    private readonly int[] _members = new int[properties.Count];
    private int _other = -1;
    private BigInteger _required;
    private Fragment _end;

    /// <summary>The object, braces included. To be called once.</summary>
    public Fragment Make()
    {
        var text = new JsonSchemaText(nodes);
        for (var i = 0; i < properties.Count; i++)
        {
            if (properties[i].Value is not { } value)
                continue;
            _members[i] = Member(text.String(properties[i].Name), value);
            if (properties[i].IsRequired)
                _required |= BigInteger.One << i;
        }

        if (additional is not null)
            _other = Member(text.StringOtherThan([.. properties.Select(property => property.Name)]), additional);
        _end = nodes.Nothing();
        var begin = nodes.Sequence(nodes.Literal("{"), json.Space());
        nodes.Connect(begin.End, nodes.Nothing(), Place(0, isFirst: true));
        return new(begin.Start, _end.Start);
    }

    private int Member(Fragment key, Func<Fragment> value)
    {
        var rule = nodes.DeclareRule();
        nodes.DefineRule(rule, nodes.Sequence(key, nodes.Literal(":"), json.Space(), value(), json.Space()));
        return rule;
    }

    private int Place(BigInteger seen, bool isFirst)
    {
        if (!_places.TryGetValue((seen, isFirst), out var place))
            _places.Add((seen, isFirst), place = nodes.Lazy(start => Expand(start, seen, isFirst)));
        return place;
    }

    private void Expand(int start, BigInteger seen, bool isFirst)
    {
        if ((seen & _required) == _required)
            nodes.Connect(start, nodes.Literal("}"), _end.Start);
        var left = Enumerable.Range(0, properties.Count).Where(i => properties[i].Value is not null && (seen >> i).IsEven).ToArray();
        if (left.Length == 0 && _other < 0)
            return;
        var next = start;
        if (!isFirst)
        {
            var comma = nodes.Sequence(nodes.Literal(","), json.Space());
            nodes.Connect(start, nodes.Nothing(), comma.Start);
            next = comma.End;
        }

        foreach (var i in left)
            nodes.Connect(next, _members[i], Place(seen | (BigInteger.One << i), isFirst: false));
        if (_other >= 0)
            nodes.Connect(next, _other, Place(seen, isFirst: false));
    }
}
