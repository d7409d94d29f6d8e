namespace LocalLlm.Grammars;

/// <summary>
/// Distinguishes JSON strings by several languages at once. Each character has a single spelling, the one that
/// <see cref="JsonSchemaText.Character"/> writes.
/// </summary>
/// <param name="budget">Pays for the work.</param>
internal sealed class StringLanguages(SchemaBudget budget)
{
    private readonly LanguageProduct _product = new(budget, All);

    /// <summary>Creates a language over the characters of a string, as <see cref="JsonSchemaText"/> writes them, without quotes.</summary>
    public delegate Fragment Language(GrammarNodes nodes, JsonSchemaText text);

    /// <summary>Strings of some lengths, in characters.</summary>
    public static Language OfLength(int least, int? most) => (nodes, text) =>
    {
        var character = nodes.DeclareRule();
        nodes.DefineRule(character, text.AnyCharacter());
        return nodes.Loop(character, least, most);
    };

    /// <summary>Distinguishes strings in a language from other strings.</summary>
    /// <exception cref="GrammarException">The product is too large.</exception>
    public void Tell(Language language) => _product.Tell(nodes => language(nodes, new(nodes)));

    /// <summary>Keeps only the strings that are in a language, or only those that are not.</summary>
    /// <exception cref="GrammarException">The product is too large.</exception>
    public void Require(Language language, bool isWanted) => _product.Require(nodes => language(nodes, new(nodes)), isWanted);

    /// <summary>Builds the strings by kind, with their quotes: one entry, and an exit for every kind.</summary>
    /// <param name="nodes">Receives the rules.</param>
    /// <param name="kindOf">Maps the languages that contain a string (bit i: the i-th one given) to its kind; below 0: not
    /// allowed. Pure.</param>
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

    /// <summary>The strings that <see cref="Require"/> has kept, quotes included, limited by their number of characters.</summary>
    /// <param name="nodes">Receives the rules.</param>
    /// <param name="least">Minimum number of characters.</param>
    /// <param name="most">Maximum number of characters; null: any number.</param>
    /// <exception cref="UnsatisfiableException">No string is allowed.</exception>
    public Fragment MakeCounted(GrammarNodes nodes, int least, int? most) =>
        nodes.Sequence(nodes.Literal("\""), _product.MakeCounted(nodes, least, most, All), nodes.Literal("\""));

    private static Fragment All(GrammarNodes nodes) => nodes.Star(new JsonSchemaText(nodes).AnyCharacter());
}
