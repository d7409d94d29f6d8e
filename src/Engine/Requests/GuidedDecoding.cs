using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>
/// Reads structured output under other names. vLLM's older <c>guided_json</c>, <c>guided_choice</c>, <c>guided_regex</c>,
/// <c>guided_grammar</c> and <c>guided_json_object</c>, SGLang's <c>regex</c>, <c>ebnf</c> and <c>json_schema</c>, llama.cpp's
/// <c>grammar</c> and <c>json_schema</c>, and Ollama's <c>format</c> (<c>"json"</c> or a schema) mean the same as the members of
/// <c>structured_outputs</c>. <c>guided_decoding_backend</c> selects an implementation in vLLM; this engine has one, which accepts every
/// value. <c>guided_whitespace_pattern</c> and SGLang's <c>structural_tag</c> are refused.
/// </summary>
public static class GuidedDecoding
{
    private const string Json = "guided_json";
    private const string Choice = "guided_choice";
    private const string Regex = "guided_regex";
    private const string Grammar = "guided_grammar";
    private const string JsonObject = "guided_json_object";
    private const string Backend = "guided_decoding_backend";
    private const string Whitespace = "guided_whitespace_pattern";
    private const string Format = "format";
    private const string Tag = "structural_tag";

    private static readonly string[] Schemas = [Json, "json_schema"];
    private static readonly string[] Patterns = [Regex, "regex"];
    private static readonly string[] Grammars = [Grammar, "grammar", "ebnf"];

    private static readonly string[] Backends = ["auto", "xgrammar", "guidance", "outlines", "lm-format-enforcer"];

    /// <summary>The fields that <see cref="Read"/> reads.</summary>
    public static IReadOnlyList<string> Fields { get; } =
        [.. Schemas, Choice, .. Patterns, .. Grammars, JsonObject, Format, Backend, Whitespace, Tag];

    /// <summary>The structure that the fields ask for; null: none. Records wrong values, and more than one structure.</summary>
    public static StructuredOutputs? Read(JsonFields fields, RequestErrors errors)
    {
        CheckBackend(fields, errors);
        foreach (var name in (string[])[Whitespace, Tag])
        {
            if (fields.Take(name) is not null)
                errors.AddUnsupported(name);
        }

        var asked = new List<StructuredOutputs>();
        foreach (var name in Schemas)
        {
            if (fields.Take(name) is { } schema && Schema(name, schema, fields, "a JSON schema, as an object or as its text") is { } parsed)
                asked.Add(new() { Json = parsed, Field = name });
        }

        if (fields.Strings(Choice, allowBare: false) is { } choice)
            asked.Add(new() { Choice = choice, Field = Choice });
        asked.AddRange(Texts(Patterns, fields).Select(one => new StructuredOutputs { Regex = one.Text, Field = one.Name }));
        asked.AddRange(Texts(Grammars, fields).Select(one => new StructuredOutputs { Grammar = one.Text, Field = one.Name }));
        if (fields.Boolean(JsonObject) == true)
            asked.Add(new() { JsonObject = true, Field = JsonObject });
        if (fields.Take(Format) is { } format && OfFormat(format, fields) is { } formatted)
            asked.Add(formatted);
        if (asked.Count > 1)
            errors.Add(asked[1].Field, "a structure beside " + asked[0].Field, "one structure for an answer");
        return asked.FirstOrDefault();
    }

    /// <summary>Combines the structure from these fields with the one from a request's other fields.</summary>
    /// <param name="guided">The structure from the older names, or null.</param>
    /// <param name="other">The structure from <c>structured_outputs</c> or <c>response_format</c>, or null.</param>
    /// <exception cref="EngineException">Both are given.</exception>
    public static StructuredOutputs? Combine(StructuredOutputs? guided, StructuredOutputs? other)
    {
        if (guided is not null && other is not null)
            throw EngineException.InvalidRequest(guided.Field, $"{guided.Field}: given together with {other.Field}; a response can have only one structure: remove one of them");
        return guided ?? other;
    }

    // A backend and its options matter only to vLLM. Options that change the allowed output are refused.
    private static void CheckBackend(JsonFields fields, RequestErrors errors)
    {
        if (Text(Backend, fields) is not { } backend)
            return;
        var parts = backend.Split(':', 2);
        if (!Backends.Contains(parts[0]) || (parts.Length == 2 && parts[1] != "no-fallback"))
            errors.Add(Backend, backend, $"{string.Join(", ", Backends)}, alone or with :no-fallback; this engine treats all of them alike");
    }

    // Ollama's clients send an empty string if no format is requested.
    private static StructuredOutputs? OfFormat(JsonElement format, JsonFields fields)
    {
        if (format.ValueKind == JsonValueKind.String && format.ValueEquals(""))
            return null;
        if (format.ValueKind == JsonValueKind.String && format.ValueEquals("json"))
            return new() { JsonObject = true, Field = Format };
        return Schema(Format, format, fields, "\"json\", or a JSON schema, as an object or as its text") is { } schema
            ? new() { Json = schema, Field = Format }
            : null;
    }

    private static IEnumerable<(string Name, string Text)> Texts(string[] names, JsonFields fields)
    {
        foreach (var name in names)
        {
            if (Text(name, fields) is { } text)
                yield return (name, text);
        }
    }

    private static string? Text(string name, JsonFields fields)
    {
        if (fields.Take(name) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.String)
            return value.GetString();
        fields.Refuse(name, value, "a text");
        return null;
    }

    // A schema as an object, or as text.
    private static JsonElement? Schema(string name, JsonElement given, JsonFields fields, string allowed)
    {
        if (given.ValueKind is JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False)
            return given.Clone();
        if (given.ValueKind == JsonValueKind.String)
        {
            try
            {
                using var document = JsonDocument.Parse(given.GetString()!);
                if (document.RootElement.ValueKind is JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False)
                    return document.RootElement.Clone();
            }
            catch (JsonException)
            {
            }
        }

        fields.Refuse(name, given, allowed);
        return null;
    }
}
