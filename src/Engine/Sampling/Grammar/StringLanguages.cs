namespace LocalLlm.Sampling.Grammar;

/// <summary>Strings of JSON told apart by several languages at once. Characters are written in one way only, as <see cref="JsonSchemaText.Character"/> writes them.</summary>
/// <param name="budget">The states that may be made.</param>
internal sealed class StringLanguages(SchemaBudget budget)
{
    private readonly LanguageProduct _product = new(budget, nodes => nodes.Star(new JsonSchemaText(nodes).AnyCharacter()));

    /// <summary>Makes a language over the characters of a string, as <see cref="JsonSchemaText"/> writes them; quotes left out.</summary>
    public delegate Fragment Language(GrammarNodes nodes, JsonSchemaText text);

    /// <summary>Strings of some lengths, in characters.</summary>
    public static Language OfLength(int least, int? most) => (nodes, text) =>
    {
        var character = nodes.DeclareRule();
        nodes.DefineRule(character, text.AnyCharacter());
        return nodes.Loop(character, least, most);
    };

    /// <summary>Adds a language.</summary>
    /// <exception cref="GrammarException">It is too large.</exception>
    public void Add(Language language) => _product.Add(nodes => language(nodes, new(nodes)));

    /// <summary>Strings by what they are, with their quotes: one way in, and a way out for every kind.</summary>
    /// <param name="nodes">Gets the rules.</param>
    /// <param name="kindOf">From the languages that a string is in (in the order in which they were added) to its kind; below 0: it is not allowed. Pure.</param>
    /// <exception cref="GrammarException">There are too many states, or no string is allowed.</exception>
    public (int Start, Dictionary<int, int> Ends) Make(GrammarNodes nodes, Func<bool[], int> kindOf)
    {
        var (start, ends) = _product.Make(nodes, kindOf);
        var begin = nodes.Literal("\"");
        nodes.Connect(begin.End, start);
        foreach (var (kind, end) in ends.ToArray())
        {
            var close = nodes.Literal("\"");
            nodes.Connect(end, close.Start);
            ends[kind] = close.End;
        }

        return (begin.Start, ends);
    }
}
