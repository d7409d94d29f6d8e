namespace LocalLlm.Grammars;

/// <summary>Patterns of schemas (the part of ECMA 262 that <see cref="RegexGrammar.ParsedPattern"/> supports).</summary>
internal static class SchemaPatterns
{
    /// <summary>The strings that contain a match of a pattern.</summary>
    public static StringLanguages.Language Language(string pattern) => (nodes, text) => new RegexGrammar(nodes, text.Character).Search(pattern);

    /// <summary>Whether strings are in a language.</summary>
    /// <exception cref="GrammarException">The language is malformed.</exception>
    public static Func<string, bool> Matcher(StringLanguages.Language language, string at, SchemaBudget budget)
    {
        try
        {
            return budget.Automaton(nodes => language(nodes, new(nodes))) is { } automaton ? name => budget.Accepts(automaton, JsonSchemaText.Written(name)) : _ => false;
        }
        catch (GrammarException wrong)
        {
            throw new GrammarException($"{at}: {wrong.Message}");
        }
    }
}
