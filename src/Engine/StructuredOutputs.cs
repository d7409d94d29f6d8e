using System.Text.Json;

namespace LocalLlm;

/// <summary>
/// A structure that constrains the output: set exactly one property (vLLM's <c>structured_outputs</c>). Only tokens that conform can be
/// chosen; a model that thinks may think first.
/// </summary>
public sealed record StructuredOutputs
{
    /// <summary>
    /// JSON that conforms to this JSON schema; properties come in any order. Schemas that cannot be enforced token by token
    /// (<c>uniqueItems</c> except for a few constants, <c>unevaluatedProperties</c>, look-around in patterns, some negations) are refused.
    /// The error names the place in the schema.
    /// </summary>
    public JsonElement? Json { get; init; }

    /// <summary>One of these texts.</summary>
    public IReadOnlyList<string>? Choice { get; init; }

    /// <summary>
    /// A text that this regular expression matches as a whole. Look-around, back references and word boundaries are refused; <c>\d</c> and
    /// <c>\w</c> are ASCII's, <c>\s</c> and <c>.</c> ECMAScript's.
    /// </summary>
    public string? Regex { get; init; }

    /// <summary>
    /// A text that the rule <c>root</c> of an EBNF grammar allows, in the notation of llama.cpp's GBNF: <c>root ::= "yes" | "no"
    /// number</c>, <c>number ::= [0-9]+</c>. Rules must not be left-recursive.
    /// </summary>
    public string? Grammar { get; init; }

    /// <summary>Any JSON object.</summary>
    public bool JsonObject { get; init; }

    /// <summary>A name for the JSON schema. The model reads it.</summary>
    public string? SchemaName { get; init; }

    /// <summary>What the JSON schema is for. The model reads it.</summary>
    public string? SchemaDescription { get; init; }

    /// <summary>The JSON schema to show to the model, if the mask enforces a stricter one; null: <see cref="Json"/>.</summary>
    public JsonElement? DescribedJson { get; init; }

    /// <summary>Whether <c>$type</c> must come before other properties, because System.Text.Json reads it so.</summary>
    public bool TypeFirst { get; init; }

    /// <summary>The request field that asked for the structure; errors name it.</summary>
    internal string Field { get; init; } = "structured_outputs";
}
