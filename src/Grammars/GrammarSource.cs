using System.Text.Json;
using System.Text.Json.Serialization;

namespace LocalLlm.Grammars;

/// <summary>
/// What a grammar is compiled from, as plain data. <see cref="GrammarCompiler.Compile"/> compiles it to an equal grammar
/// anywhere, and <see cref="ToJson"/> and <see cref="FromJson"/> carry it there. Only compiling checks it.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(JsonObject), "json_object")]
[JsonDerivedType(typeof(JsonSchema), "json_schema")]
[JsonDerivedType(typeof(Regex), "regex")]
[JsonDerivedType(typeof(Choice), "choice")]
[JsonDerivedType(typeof(Ebnf), "ebnf")]
[JsonDerivedType(typeof(Literal), "literal")]
[JsonDerivedType(typeof(Sequence), "sequence")]
[JsonDerivedType(typeof(AnyOf), "any_of")]
[JsonDerivedType(typeof(SeparatedList), "separated_list")]
[JsonDerivedType(typeof(TextWithTags), "text_with_tags")]
[JsonDerivedType(typeof(TextOr), "text_or")]
[JsonDerivedType(typeof(Fallback), "fallback")]
[JsonDerivedType(typeof(Named), "named")]
public abstract record GrammarSource
{
    private protected GrammarSource()
    {
    }

    /// <summary>
    /// Whether texts of the grammar contain special tokens, such as the marks of tool calls. If so, compile it over a vocabulary
    /// that has the bytes of those tokens.
    /// </summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool WritesSpecialTokens { get; init; }

    /// <summary>The source as JSON. Sources with the same JSON compile to the same grammar.</summary>
    /// <exception cref="GrammarException">The source is nested too deeply (some thirty levels).</exception>
    public string ToJson()
    {
        try
        {
            return JsonSerializer.Serialize(this, GrammarSourceJson.Default.GrammarSource);
        }
        catch (JsonException)
        {
            throw new GrammarException("the source of a grammar is nested too deeply");
        }
    }

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <param name="json">The JSON.</param>
    /// <exception cref="GrammarException">The JSON is not a source.</exception>
    public static GrammarSource FromJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            return JsonSerializer.Deserialize(json, GrammarSourceJson.Default.GrammarSource)
                ?? throw new GrammarException("a grammar's source is null; an object with a kind is expected");
        }
        catch (Exception malformed) when (malformed is JsonException or NotSupportedException)
        {
            throw new GrammarException($"not the source of a grammar: {malformed.Message}");
        }
    }

    /// <summary>Any JSON object.</summary>
    public sealed record JsonObject : GrammarSource;

    /// <summary>JSON that a JSON schema (drafts 4 to 2020-12) allows; properties come in any order.</summary>
    /// <param name="Schema">The schema's JSON text.</param>
    public sealed record JsonSchema(string Schema) : GrammarSource
    {
        /// <summary>Whether objects with named properties have no other properties, unless the schema mentions others.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
        public bool IsClosed { get; init; }

        /// <summary>Whether <c>$type</c> comes before an object's other properties, as System.Text.Json requires.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
        public bool TypeFirst { get; init; }
    }

    /// <summary>
    /// Texts that a regular expression matches as a whole. Look-around, back references and word boundaries are refused.
    /// <c>\d</c> and <c>\w</c> are ASCII's; <c>\s</c> and <c>.</c> are ECMAScript's.
    /// </summary>
    /// <param name="Pattern">The expression.</param>
    public sealed record Regex(string Pattern) : GrammarSource;

    /// <summary>Any one of some texts.</summary>
    /// <param name="Texts">The texts: at least one, none of them empty.</param>
    public sealed record Choice(IReadOnlyList<string> Texts) : GrammarSource;

    /// <summary>
    /// Texts of the rule <c>root</c> among rules in EBNF, in the notation of llama.cpp's GBNF. A rule must not begin with itself.
    /// </summary>
    /// <param name="Rules">The rules.</param>
    public sealed record Ebnf(string Rules) : GrammarSource;

    /// <summary>One text; may be empty.</summary>
    /// <param name="Text">The text.</param>
    public sealed record Literal(string Text) : GrammarSource;

    /// <summary>Parts one after the other.</summary>
    /// <param name="Parts">The parts.</param>
    public sealed record Sequence(IReadOnlyList<GrammarSource> Parts) : GrammarSource;

    /// <summary>Any one of several grammars.</summary>
    /// <param name="Alternatives">The grammars, at least one.</param>
    public sealed record AnyOf(IReadOnlyList<GrammarSource> Alternatives) : GrammarSource;

    /// <summary>One or more items.</summary>
    /// <param name="Item">The item.</param>
    /// <param name="Separator">The text between two items; may be empty.</param>
    public sealed record SeparatedList(GrammarSource Item, string Separator) : GrammarSource;

    /// <summary>
    /// Any text in which a grammar constrains what follows every occurrence of a mark (XGrammar's structural tags). Any text may
    /// follow after that.
    /// </summary>
    /// <param name="Begin">The mark; not empty.</param>
    /// <param name="Tag">The grammar of what follows the mark.</param>
    public sealed record TextWithTags(string Begin, GrammarSource Tag) : GrammarSource;

    /// <summary>After white space, either a value, or any text that begins with a character other than the one that opens values.</summary>
    /// <param name="Value">The value.</param>
    /// <param name="Opening">The character that begins every value: ASCII, not white space.</param>
    public sealed record TextOr(GrammarSource Value, char Opening) : GrammarSource;

    /// <summary>A grammar, or another one if the first cannot be compiled.</summary>
    /// <param name="Preferred">The first grammar.</param>
    /// <param name="Otherwise">The other grammar.</param>
    public sealed record Fallback(GrammarSource Preferred, GrammarSource Otherwise) : GrammarSource;

    /// <summary>A grammar whose error messages carry a name.</summary>
    /// <param name="Name">The name, such as "the parameters of 'search'".</param>
    /// <param name="Content">The grammar.</param>
    public sealed record Named(string Name, GrammarSource Content) : GrammarSource;
}
