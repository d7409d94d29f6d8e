using System.Text;

namespace LocalLlm.Grammars;

/// <summary>Turns a <see cref="GrammarSource"/> into rules.</summary>
/// <param name="nodes">The rules.</param>
internal sealed class GrammarBuilder(GrammarNodes nodes)
{
    /// <summary>The texts that a source describes.</summary>
    /// <exception cref="GrammarException">A part is malformed or too large.</exception>
    public Fragment Build(GrammarSource source) => source switch
    {
        GrammarSource.JsonObject => new JsonGrammar(nodes).Object(),
        GrammarSource.JsonSchema schema => JsonSchemaGrammar.Parse(nodes, schema.Schema, schema.IsClosed, schema.TypeFirst),
        GrammarSource.Regex regex => RegexGrammar.Parse(nodes, regex.Pattern),
        GrammarSource.Choice choice => Choice(choice.Texts),
        GrammarSource.Ebnf ebnf => EbnfGrammar.Parse(nodes, ebnf.Rules),
        GrammarSource.Literal literal => nodes.Literal(literal.Text),
        GrammarSource.Sequence sequence => nodes.Sequence([.. sequence.Parts.Select(Build)]),
        GrammarSource.AnyOf anyOf => AnyOf(anyOf.Alternatives),
        GrammarSource.SeparatedList list => SeparatedList(Build(list.Item), list.Separator),
        GrammarSource.TextWithTags text => TextWithTags(Encoding.UTF8.GetBytes(text.Begin), text.Tag),
        GrammarSource.TextOr text => TextOr(text.Value, text.Opening),
        GrammarSource.Fallback fallback => Fallback(fallback),
        GrammarSource.Named named => Named(named),
        _ => throw new ArgumentOutOfRangeException(nameof(source)),
    };

    private Fragment Choice(IReadOnlyList<string> texts)
    {
        if (texts.Count == 0 || texts.Any(string.IsNullOrEmpty))
            throw new GrammarException("give at least one text; texts must not be empty");
        return nodes.Either([.. texts.Select(nodes.Literal)]);
    }

    private Fragment AnyOf(IReadOnlyList<GrammarSource> alternatives) => alternatives.Count switch
    {
        0 => throw new GrammarException("at least one alternative is needed"),
        1 => Build(alternatives[0]),
        _ => nodes.Either([.. alternatives.Select(Build)]),
    };

    private Fragment SeparatedList(Fragment item, string separator)
    {
        nodes.Connect(item.End, nodes.Literal(separator), item.Start);
        return nodes.Sequence(nodes.Nothing(), item, nodes.Nothing());
    }

    private Fragment Fallback(GrammarSource.Fallback fallback)
    {
        try
        {
            return Build(fallback.Preferred);
        }
        catch (GrammarException)
        {
            return Build(fallback.Otherwise);
        }
    }

    private Fragment Named(GrammarSource.Named named)
    {
        try
        {
            return Build(named.Content);
        }
        catch (GrammarException refusal)
        {
            throw new GrammarException($"{named.Name}: {refusal.Message}");
        }
    }

    private Fragment TextOr(GrammarSource value, char opening)
    {
        if (opening is <= ' ' or > '~')
            throw new GrammarException($"values begin with '{opening}'; it must be an ASCII character other than white space");
        var blanks = nodes.Star(nodes.Either(
            nodes.Range((byte)'\t', (byte)'\n'), nodes.Range((byte)'\r', (byte)'\r'), nodes.Range((byte)' ', (byte)' ')));
        var first = nodes.Either(
            nodes.Range(0, (byte)'\t' - 1),
            nodes.Range((byte)'\n' + 1, (byte)'\r' - 1),
            nodes.Range((byte)'\r' + 1, (byte)' ' - 1),
            opening == '!'
                ? nodes.Range((byte)'"', byte.MaxValue)
                : nodes.Either(nodes.Range((byte)' ' + 1, (byte)(opening - 1)), nodes.Range((byte)(opening + 1), byte.MaxValue)));
        var text = nodes.Optional(nodes.Sequence(first, nodes.Star(nodes.Range(0, byte.MaxValue))));
        return nodes.Sequence(blanks, nodes.Either(Build(value), text));
    }

    // A text without the mark: the automaton of Knuth, Morris and Pratt.
    private Fragment TextWithTags(byte[] mark, GrammarSource tag)
    {
        if (mark.Length == 0)
            throw new GrammarException("the mark that begins a tag is empty");
        var end = nodes.Nothing().Start;
        var matched = mark.Select(_ => nodes.Nothing().Start).ToArray();
        var inside = Build(tag);
        nodes.Connect(inside.End, nodes.Nothing(), matched[0]);
        for (var length = 0; length < mark.Length; length++)
        {
            nodes.Connect(matched[length], nodes.Nothing(), end);
            var first = 0;
            for (var value = 1; value <= byte.MaxValue + 1; value++)
            {
                var next = Matched(mark, length, (byte)first);
                if (value <= byte.MaxValue && Matched(mark, length, (byte)value) == next)
                    continue;
                nodes.Connect(matched[length], (byte)first, (byte)(value - 1), next == mark.Length ? inside.Start : matched[next]);
                first = value;
            }
        }

        return new(matched[0], end);
    }

    // Length of the mark's longest prefix that the text ends with after one more byte.
    private static int Matched(byte[] mark, int length, byte value)
    {
        for (var candidate = Math.Min(length + 1, mark.Length); candidate > 0; candidate--)
        {
            if (mark[candidate - 1] == value
                && mark.AsSpan(0, candidate - 1).SequenceEqual(mark.AsSpan(length - candidate + 1, candidate - 1)))
                return candidate;
        }

        return 0;
    }
}
