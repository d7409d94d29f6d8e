using System.Text.Json;
using LocalLlm.Sampling;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// vLLM's older names of structured output: <c>guided_json</c>, <c>guided_choice</c>, <c>guided_regex</c>, <c>guided_grammar</c> and
/// <c>guided_json_object</c> mean what the members of <c>structured_outputs</c> do.
/// <c>guided_decoding_backend</c> chooses how vLLM keeps to it; here there is one way, which keeps to all of them.
/// <c>guided_whitespace_pattern</c> is refused.
/// </summary>
internal static class GuidedDecoding
{
    private const string Json = "guided_json";
    private const string Choice = "guided_choice";
    private const string Regex = "guided_regex";
    private const string Grammar = "guided_grammar";
    private const string JsonObject = "guided_json_object";
    private const string Backend = "guided_decoding_backend";
    private const string Whitespace = "guided_whitespace_pattern";

    private static readonly string[] Backends = ["auto", "xgrammar", "guidance", "outlines", "lm-format-enforcer"];

    /// <summary>The fields that <see cref="Read"/> reads.</summary>
    public static IReadOnlyList<string> Fields { get; } = [Json, Choice, Regex, Grammar, JsonObject, Backend, Whitespace];

    /// <summary>What the fields ask for; null: nothing. Wrong values, and more than one structure, are recorded.</summary>
    public static StructuredOutputs? Read(JsonFields fields, RequestErrors errors)
    {
        CheckBackend(fields, errors);
        if (fields.Take(Whitespace) is not null)
            errors.AddUnsupported(Whitespace);
        var asked = new List<StructuredOutputs>();
        if (fields.Take(Json) is { } schema && Schema(schema, fields) is { } parsed)
            asked.Add(new() { Json = parsed, Field = Json });
        if (fields.Strings(Choice, allowBare: false) is { } choice)
            asked.Add(new() { Choice = choice, Field = Choice });
        if (Text(Regex, fields) is { } regex)
            asked.Add(new() { Regex = regex, Field = Regex });
        if (Text(Grammar, fields) is { } grammar)
            asked.Add(new() { Grammar = grammar, Field = Grammar });
        if (fields.Boolean(JsonObject) == true)
            asked.Add(new() { JsonObject = true, Field = JsonObject });
        if (asked.Count > 1)
            errors.Add(asked[1].Field, "a structure beside " + asked[0].Field, "one structure for an answer");
        return asked.FirstOrDefault();
    }

    /// <summary>One structure out of the fields and what else a request says of it.</summary>
    /// <param name="guided">What the older names ask for, or null.</param>
    /// <param name="other">What <c>structured_outputs</c> or <c>response_format</c> ask for, or null.</param>
    /// <exception cref="EngineException">Both are given.</exception>
    public static StructuredOutputs? Combine(StructuredOutputs? guided, StructuredOutputs? other)
    {
        if (guided is not null && other is not null)
            throw EngineException.InvalidRequest(guided.Field, $"{guided.Field}: given beside {other.Field}, allowed one structure for an answer; remove one of them");
        return guided ?? other;
    }

    // The options of a backend are about how vLLM does it, but for those that change what may be written.
    private static void CheckBackend(JsonFields fields, RequestErrors errors)
    {
        if (Text(Backend, fields) is not { } backend)
            return;
        var parts = backend.Split(':', 2);
        if (!Backends.Contains(parts[0]) || (parts.Length == 2 && parts[1] != "no-fallback"))
            errors.Add(Backend, backend, $"{string.Join(", ", Backends)}, alone or with :no-fallback; all of them are kept to in the same way here");
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

    // An object, or its text.
    private static JsonElement? Schema(JsonElement given, JsonFields fields)
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

        fields.Refuse(Json, given, "a JSON schema, as an object or as its text");
        return null;
    }
}
