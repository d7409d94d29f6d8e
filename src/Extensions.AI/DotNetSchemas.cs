using System.Globalization;
using System.Numerics;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// JSON schemas of .NET types that admit only what System.Text.Json reads. The exported schemas admit more: any whole number for a
/// <see cref="byte"/> and any text for bytes. For a <see cref="TimeOnly"/> they are wrong: <c>format: time</c> requires an offset, which
/// the type does not accept.
/// </summary>
internal static class DotNetSchemas
{
    private const string Date = "(\\d{3}[1-9]|\\d{2}[1-9]0|\\d[1-9]00|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])"; // the format checks days of months
    private const string Clock = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,7})?";
    private const string DayTime = "^" + Date + "T" + Clock + "(Z|[+-](0\\d|1[0-3]):[0-5]\\d)$";

    // Near the first and the last day of .NET's range, an offset would lead out of that range.
    private const string SafeDateTime = "^(000[2-9]|00[1-9]\\d|0[1-9]\\d\\d|[1-8]\\d{3}|9[0-8]\\d\\d|99[0-8]\\d|999[0-8])-";
    private const string TimeOnlyPattern = "^" + Clock + "$";
    private const string ExportedTimeSpan = "^-?(\\d+\\.)?\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,7})?$";
    private const string TimeSpanPattern = "^-?([1-9]\\d{0,6}\\.)?" + Clock + "$";
    private const string ExportedVersion = "^\\d+(\\.\\d+){1,3}$";
    private const string VersionPattern = "^(0|[1-9]\\d{0,8})(\\.(0|[1-9]\\d{0,8})){1,3}$";
    private const string Base64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";
    private const string Guid = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";
    private const string PathText = "([a-zA-Z0-9._~!$&'()*+,;=@-]|%[2-7][0-9a-fA-F])";
    private const string Host = "[a-z]([a-z0-9-]{0,30}[a-z0-9])?(\\.[a-z]([a-z0-9-]{0,30}[a-z0-9])?){0,4}";
    private const string UriPattern = "^((https?|ftp|wss?)://" + Host + "(:[1-9]\\d{0,3})?(/" + PathText + "*)*(\\?" + PathText + "*)?(#" + PathText + "*)?|mailto:[a-z0-9._-]+@" + Host + "|urn:[a-z][a-z0-9-]{1,30}:" + PathText + "+)$";

    // A char is one unit of UTF-16.
    private const string CharPattern = "^[\\u0000-\\uffff]$";

    private static readonly AIJsonSchemaCreateOptions Create = new() { TransformSchemaNode = static (context, node) => Refined(context.TypeInfo, node) };

    private static readonly Dictionary<Type, (string Least, string Most)> Ranges = new()
    {
        [typeof(byte)] = Range<byte>(), [typeof(sbyte)] = Range<sbyte>(), [typeof(short)] = Range<short>(), [typeof(ushort)] = Range<ushort>(), [typeof(int)] = Range<int>(), [typeof(uint)] = Range<uint>(),
        [typeof(long)] = Range<long>(), [typeof(ulong)] = Range<ulong>(), [typeof(Int128)] = Range<Int128>(), [typeof(UInt128)] = Range<UInt128>(),
        [typeof(Half)] = ("-65504", "65504"), [typeof(float)] = ("-3.4e38", "3.4e38"), [typeof(double)] = ("-1.79e308", "1.79e308"), [typeof(decimal)] = Range<decimal>(),
    };

    /// <summary>The schema of a type.</summary>
    public static JsonElement Of(Type type, JsonSerializerOptions? options = null) => AIJsonUtilities.CreateJsonSchema(type, serializerOptions: options, inferenceOptions: Create);

    /// <summary>Tightens a schema whose .NET type is unknown, as far as its formats and patterns show the type.</summary>
    /// <param name="schema">The schema.</param>
    /// <param name="whole">The smallest and the largest whole number.</param>
    public static JsonElement WithoutType(JsonElement schema, (long Least, long Most) whole)
    {
        var root = JsonNode.Parse(schema.GetRawText());
        Refine(root, whole);
        return JsonSerializer.SerializeToElement(root, AIJsonUtilities.DefaultOptions);
    }

    /// <summary>
    /// The schema of a function's parameters, tightened wherever the function's schema is the one exported from the method's types.
    /// </summary>
    public static JsonElement OfParameters(AIFunctionDeclaration function)
    {
        var schema = function.JsonSchema;
        if (function is not AIFunction { UnderlyingMethod: { } method } own || JsonNode.Parse(schema.GetRawText()) is not JsonObject root || root["properties"] is not JsonObject properties)
            return schema;
        foreach (var parameter in method.GetParameters())
        {
            if (parameter.Name is null || properties[parameter.Name] is not JsonObject given || NotDescribed(given) is not { } plain)
                continue;
            try
            {
                if (!JsonNode.DeepEquals(plain, NotDescribed(Node(AIJsonUtilities.CreateJsonSchema(parameter.ParameterType, serializerOptions: own.JsonSerializerOptions)))))
                    continue;
                foreach (var (word, _) in plain)
                    given.Remove(word);
                foreach (var (word, value) in (JsonObject)Node(Of(parameter.ParameterType, own.JsonSerializerOptions))!)
                {
                    if (word != "$schema")
                        given[word] = value?.DeepClone();
                }
            }
            catch (Exception unknown) when (unknown is NotSupportedException or InvalidOperationException or ArgumentException)
            {
                // For a type without a schema, the function's own schema stays.
            }
        }

        return JsonSerializer.SerializeToElement(root, AIJsonUtilities.DefaultOptions);
    }

    private static JsonNode? Node(JsonElement schema) => JsonNode.Parse(schema.GetRawText());

    // JSON pointers within a schema would point elsewhere once it is moved.
    private static JsonObject? NotDescribed(JsonNode? schema)
    {
        if (schema is not JsonObject words || schema.ToJsonString().Contains("\"$ref\"", StringComparison.Ordinal))
            return null;
        var copy = (JsonObject)words.DeepClone();
        foreach (var note in (string[])["$schema", "description", "default", "title"])
            copy.Remove(note);
        return copy;
    }

    private static (string Least, string Most) Range<T>()
        where T : IMinMaxValue<T> => (T.MinValue.ToString()!, T.MaxValue.ToString()!);

    private static JsonNode Refined(JsonTypeInfo info, JsonNode node)
    {
        var type = Nullable.GetUnderlyingType(info.Type) ?? info.Type;
        if (type == typeof(JsonValue) && node.GetValueKind() == JsonValueKind.True)
            return new JsonObject { ["type"] = new JsonArray("string", "number", "boolean", "null") };
        if (node is not JsonObject schema)
            return node;
        RefineNode(schema);
        if (Ranges.TryGetValue(type, out var range) && !schema.ContainsKey("pattern") && !schema.ContainsKey("enum"))
        {
            schema.TryAdd("minimum", JsonNode.Parse(range.Least));
            schema.TryAdd("maximum", JsonNode.Parse(range.Most));
            if (type == typeof(decimal))
                schema.TryAdd("multipleOf", JsonNode.Parse("0.000000001"));
        }

        if (type == typeof(byte[]) || type == typeof(Memory<byte>) || type == typeof(ReadOnlyMemory<byte>))
            schema.TryAdd("pattern", Base64);
        if (type.IsEnum && IsText(schema) && !schema.ContainsKey("enum"))
            schema.TryAdd("pattern", Flags(type));
        if (info.Kind == JsonTypeInfoKind.Dictionary && info.KeyType is { } key && key != typeof(string) && NamesOf(key) is { } names)
            schema.TryAdd("propertyNames", names);
        return schema;
    }

    // The naming policy of the options applies to names; a combination is written as names with commas.
    private static string Flags(Type type)
    {
        var names = $"({string.Join('|', Enum.GetNames(type).Select(name => System.Text.RegularExpressions.Regex.Escape(name)))})";
        return $"^{names}(, {names})*$";
    }

    private static JsonObject? NamesOf(Type key)
    {
        if (key.IsEnum)
            return new() { ["enum"] = new JsonArray([.. Enum.GetNames(key).Select(name => JsonValue.Create(name))]) };
        if (key == typeof(bool))
            return new() { ["enum"] = new JsonArray("True", "False") };
        if (Ranges.TryGetValue(key, out var range))
        {
            var digits = range.Most.Count(char.IsDigit) - 1;
            var isWhole = !range.Most.Contains('.', StringComparison.Ordinal) && !range.Most.Contains('e', StringComparison.Ordinal) && key != typeof(Half);
            var sign = range.Least.StartsWith('-') ? "-?" : "";
            return new() { ["pattern"] = isWhole ? string.Create(CultureInfo.InvariantCulture, $"^(0|{sign}[1-9]\\d{{0,{digits - 1}}})$") : "^(0|-?[1-9]\\d{0,3})(\\.\\d{1,4})?$" };
        }

        string[] patterns = key == typeof(Guid) ? [Guid] : key == typeof(DateTime) || key == typeof(DateTimeOffset) ? [DayTime, SafeDateTime] : key == typeof(DateOnly) ? [$"^{Date}$"] : key == typeof(TimeOnly) ? [TimeOnlyPattern]
            : key == typeof(TimeSpan) ? [TimeSpanPattern] : key == typeof(Version) ? [VersionPattern] : key == typeof(Uri) ? [UriPattern] : key == typeof(char) ? [CharPattern] : [];
        string? format = key == typeof(DateTime) || key == typeof(DateTimeOffset) ? "date-time" : key == typeof(DateOnly) ? "date" : null;
        if (patterns.Length == 0)
            return null;
        var names = new JsonObject { ["pattern"] = patterns[0] };
        if (patterns.Length > 1)
            names["allOf"] = new JsonArray(new JsonObject { ["pattern"] = patterns[1] });
        if (format is not null)
            names["format"] = format;
        return names;
    }

    private static void Refine(JsonNode? node, (long Least, long Most) whole)
    {
        if (node is JsonArray list)
        {
            foreach (var item in list)
                Refine(item, whole);
        }

        if (node is not JsonObject schema)
            return;
        foreach (var (word, value) in schema.ToArray())
        {
            if (word is not ("enum" or "const" or "default" or "examples"))
                Refine(value, whole);
        }

        if (schema["type"] is null)
            return;
        RefineNode(schema);
        if (!Has(schema, "integer") || schema.ContainsKey("enum") || schema.ContainsKey("pattern"))
            return;

        schema.TryAdd("minimum", whole.Least);
        schema.TryAdd("maximum", whole.Most);
    }

    // Tightens what the exported schema alone shows.
    private static void RefineNode(JsonObject schema)
    {
        if (Text(schema, "pattern") is { } pattern)
        {
            if (IsText(schema))
                schema["pattern"] = pattern switch { ExportedTimeSpan => TimeSpanPattern, ExportedVersion => VersionPattern, _ => pattern };
            return;
        }

        switch (Text(schema, "format"))
        {
            case "date-time":
                schema["pattern"] = DayTime;
                schema.TryAdd("allOf", new JsonArray(new JsonObject { ["pattern"] = SafeDateTime }));
                break;
            case "date":
                schema["pattern"] = $"^{Date}$";
                break;
            case "time":
                schema.Remove("format");
                schema["pattern"] = TimeOnlyPattern;
                break;
            case "uri":
                schema["pattern"] = UriPattern;
                break;
            case null when IsText(schema) && Number(schema, "minLength") == 1 && Number(schema, "maxLength") == 1:
                schema["pattern"] = CharPattern;
                break;
        }
    }

    private static bool Has(JsonObject schema, string type) => schema["type"] switch { JsonArray types => types.Any(own => own?.ToString() == type), { } own => own.ToString() == type, _ => false };

    private static bool IsText(JsonObject schema) => Has(schema, "string");

    private static string? Text(JsonObject schema, string word) => schema[word] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    private static int? Number(JsonObject schema, string word) => schema[word] is JsonValue value && value.TryGetValue<int>(out var number) ? number : null;
}
