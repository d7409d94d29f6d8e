using System.Text.Json;

namespace LocalLlm;

/// <summary>
/// What an output must look like: exactly one property is set (vLLM's <c>structured_outputs</c>). Only tokens that keep to it can be
/// chosen; a model that thinks may think first.
/// </summary>
public sealed record StructuredOutputs
{
    /// <summary>
    /// JSON that this JSON schema allows; properties come in any order. What cannot be kept to token by token (<c>uniqueItems</c> of
    /// anything but a few constants, <c>unevaluatedProperties</c>, look-around in patterns, some negations) is refused with its place in
    /// the schema.
    /// </summary>
    public JsonElement? Json { get; init; }

    /// <summary>One of these texts.</summary>
    public IReadOnlyList<string>? Choice { get; init; }

    /// <summary>
    /// A text that this regular expression matches as a whole. Look-around, back references and word borders are refused; <c>\d</c> and
    /// <c>\w</c> are ASCII's, <c>\s</c> and <c>.</c> ECMAScript's.
    /// </summary>
    public string? Regex { get; init; }

    /// <summary>
    /// A text of the rule <c>root</c> of a grammar in EBNF, as llama.cpp's GBNF writes it: <c>root ::= "yes" | "no" number</c>, <c>number
    /// ::= [0-9]+</c>. A rule must not begin with itself.
    /// </summary>
    public string? Grammar { get; init; }

    /// <summary>Any JSON object.</summary>
    public bool JsonObject { get; init; }

    /// <summary>A name for the JSON schema. It is part of what the model reads.</summary>
    public string? SchemaName { get; init; }

    /// <summary>What the JSON schema is for. It is part of what the model reads.</summary>
    public string? SchemaDescription { get; init; }

    /// <summary>The JSON schema as the model reads it, where the mask is held to a stricter one; null: <see cref="Json"/>.</summary>
    public JsonElement? DescribedJson { get; init; }

    /// <summary>Whether <c>$type</c> comes before other properties, as System.Text.Json reads it.</summary>
    public bool TypeFirst { get; init; }

    /// <summary>The field of a request that asked for it, which errors name.</summary>
    internal string Field { get; init; } = "structured_outputs";
}
