namespace LocalLlm.Grammars;

/// <summary>
/// Strings of JSON told apart by several languages at once. Characters are written in one way only, as
/// <see cref="JsonSchemaText.Character"/> writes them.
/// </summary>
/// <param name="budget">Pays for it.</param>
internal sealed class StringLanguages(SchemaBudget budget)
{
    private readonly LanguageProduct _product = new(budget, All);

    /// <summary>Creates a language over the characters of a string, as <see cref="JsonSchemaText"/> writes them; quotes left out.</summary>
    public delegate Fragment Language(GrammarNodes nodes, JsonSchemaText text);

    /// <summary>Strings of some lengths, in characters.</summary>
    public static Language OfLength(int least, int? most) => (nodes, text) =>
    {
        var character = nodes.DeclareRule();
        nodes.DefineRule(character, text.AnyCharacter());
        return nodes.Loop(character, least, most);
    };

    /// <summary>Tells strings in a language from others.</summary>
    /// <exception cref="GrammarException">It is too large.</exception>
    public void Tell(Language language) => _product.Tell(nodes => language(nodes, new(nodes)));

    /// <summary>Keeps the strings that are in a language, or those that are not.</summary>
    /// <exception cref="GrammarException">It is too large.</exception>
    public void Require(Language language, bool isWanted) => _product.Require(nodes => language(nodes, new(nodes)), isWanted);

    /// <summary>Strings by what they are, with their quotes: one way in, and a way out for every kind.</summary>
    /// <param name="nodes">Gets the rules.</param>
    /// <param name="kindOf">From the languages that a string is in (bit i: the i-th one given) to its kind; below 0: it is not allowed.
    /// Pure.</param>
    /// <exception cref="UnsatisfiableException">No string is allowed.</exception>
    public (int Start, Dictionary<int, int> Ends) Make(GrammarNodes nodes, Func<ulong, int> kindOf)
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

    /// <summary>The strings that are left after <see cref="Require"/> and have a number of characters, quotes included.</summary>
    /// <param name="nodes">Gets the rules.</param>
    /// <param name="least">Fewest characters.</param>
    /// <param name="most">Most characters; null: any number.</param>
    /// <exception cref="UnsatisfiableException">No string is allowed.</exception>
    public Fragment MakeCounted(GrammarNodes nodes, int least, int? most) =>
        nodes.Sequence(nodes.Literal("\""), _product.MakeCounted(nodes, least, most, All), nodes.Literal("\""));

    private static Fragment All(GrammarNodes nodes) => nodes.Star(new JsonSchemaText(nodes).AnyCharacter());
}
