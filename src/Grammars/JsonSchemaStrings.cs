using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>Strings with patterns, formats, lengths and forbidden values.</summary>
/// <param name="nodes">The rules.</param>
/// <param name="json">The grammar of JSON.</param>
/// <param name="budget">Pays for combining several conditions.</param>
internal sealed class JsonSchemaStrings(GrammarNodes nodes, JsonGrammar json, SchemaBudget budget)
{
    /// <summary>The strings, quotes included.</summary>
    /// <exception cref="UnsatisfiableException">There is no such string.</exception>
    /// <exception cref="GrammarException">A condition cannot be enforced.</exception>
    public Fragment Make(SchemaShape shape)
    {
        if (shape is { Patterns.Count: 0, Length.IsLimited: false, ForbiddenStrings.Count: 0 })
            return json.String();
        var made = Strings(shape);
        var rule = nodes.DeclareRule();
        nodes.Share(rule);
        nodes.DefineRule(rule, made);
        return nodes.Call(rule);
    }

    private Fragment Strings(SchemaShape shape)
    {
        if (shape.Length.IsEmpty)
            throw new UnsatisfiableException($"no length lies between {shape.Length.Least} and {shape.Length.Most}");
        if (shape.Patterns.Count == 1 && !shape.Length.IsLimited && shape.ForbiddenStrings.Count == 0)
            return nodes.Sequence(nodes.Literal("\""), new RegexGrammar(nodes, new JsonSchemaText(nodes).Character).Search(shape.Patterns[0]), nodes.Literal("\""));
        if (shape.Patterns.Count == 0 && shape.ForbiddenStrings.Count == 0)
            return nodes.Sequence(nodes.Literal("\""), nodes.Loop(json.CharacterRule, shape.Length.Least, shape.Length.Most), nodes.Literal("\""));
        var product = new StringLanguages(budget);
        foreach (var (language, isWanted) in LanguagesOf(shape, withLength: false))
            product.Require(language, isWanted);
        if (shape.Length.IsLimited)
            return product.MakeCounted(nodes, shape.Length.Least, shape.Length.Most);
        var (start, ends) = product.Make(nodes, _ => 0);
        return new(start, ends[0]);
    }

    /// <summary>The conditions on strings as languages that a string must be in, or must not be in.</summary>
    public static IEnumerable<(StringLanguages.Language Language, bool IsWanted)> LanguagesOf(SchemaShape shape, bool withLength = true)
    {
        foreach (var pattern in shape.Patterns)
            yield return (SchemaPatterns.Language(pattern), true);
        if (withLength && shape.Length.IsLimited)
            yield return (StringLanguages.OfLength(shape.Length.Least, shape.Length.Most), true);
        if (shape.Constants?.Where(value => value.ValueKind == JsonValueKind.String).Select(value => value.GetString()!).ToArray() is { } constants)
            yield return ((inner, text) => constants.Length == 0 ? inner.Range(0, 0) : inner.Either([.. constants.Select(text.Characters)]), true);
        foreach (var forbidden in shape.ForbiddenStrings)
            yield return (forbidden, false);
    }
}
