using System.Text.Json;
using System.Text.RegularExpressions;

namespace LocalLlm.Grammars.Tests;

/// <summary>
/// Decides whether a value is an instance of a schema of draft 2020-12, word by word as the standard says. Tests compare grammars with it.
/// </summary>
internal sealed class SchemaOracle(JsonElement root)
{
    public bool IsValid(JsonElement value) => IsValid(root, value);

    private bool IsValid(JsonElement schema, JsonElement value)
    {
        if (schema.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return schema.ValueKind == JsonValueKind.True;
        return schema.EnumerateObject().All(word => Holds(schema, word.Name, word.Value, value));
    }

    private bool Holds(JsonElement schema, string word, JsonElement wanted, JsonElement value)
    {
        switch (word)
        {
            case "$ref":
                return IsValid(root.GetProperty("$defs").GetProperty(wanted.GetString()!["#/$defs/".Length..]), value);
            case "type":
                return wanted.ValueKind == JsonValueKind.Array ? wanted.EnumerateArray().Any(type => IsType(type.GetString()!, value)) : IsType(wanted.GetString()!, value);
            case "enum":
                return wanted.EnumerateArray().Any(other => JsonElement.DeepEquals(other, value));
            case "const":
                return JsonElement.DeepEquals(wanted, value);
            case "allOf":
                return wanted.EnumerateArray().All(inner => IsValid(inner, value));
            case "anyOf":
                return wanted.EnumerateArray().Any(inner => IsValid(inner, value));
            case "oneOf":
                return wanted.EnumerateArray().Count(inner => IsValid(inner, value)) == 1;
            case "not":
                return !IsValid(wanted, value);
            case "if":
                return !schema.TryGetProperty(IsValid(wanted, value) ? "then" : "else", out var branch) || IsValid(branch, value);
        }

        return value.ValueKind switch
        {
            JsonValueKind.Number => HoldsNumber(word, wanted, value.GetDecimal()),
            JsonValueKind.String => HoldsString(word, wanted, value.GetString()!),
            JsonValueKind.Array => HoldsArray(schema, word, wanted, [.. value.EnumerateArray()]),
            JsonValueKind.Object => HoldsObject(schema, word, wanted, value, value.EnumerateObject().ToDictionary(property => property.Name, property => property.Value)),
            _ => true,
        };
    }

    private static bool HoldsNumber(string word, JsonElement wanted, decimal value) => word switch
    {
        "minimum" => value >= wanted.GetDecimal(),
        "maximum" => value <= wanted.GetDecimal(),
        "exclusiveMinimum" => value > wanted.GetDecimal(),
        "exclusiveMaximum" => value < wanted.GetDecimal(),
        "multipleOf" => value % wanted.GetDecimal() == 0,
        _ => true,
    };

    private static bool HoldsString(string word, JsonElement wanted, string value) => word switch
    {
        "minLength" => value.EnumerateRunes().Count() >= wanted.GetInt32(),
        "maxLength" => value.EnumerateRunes().Count() <= wanted.GetInt32(),
        "pattern" => Regex.IsMatch(value, wanted.GetString()!, RegexOptions.ECMAScript),
        _ => true,
    };

    private bool HoldsArray(JsonElement schema, string word, JsonElement wanted, JsonElement[] items)
    {
        var prefix = schema.TryGetProperty("prefixItems", out var places) ? places.GetArrayLength() : 0;
        switch (word)
        {
            case "minItems":
                return items.Length >= wanted.GetInt32();
            case "maxItems":
                return items.Length <= wanted.GetInt32();
            case "items":
                return items.Skip(prefix).All(item => IsValid(wanted, item));
            case "prefixItems":
                return items.Zip(wanted.EnumerateArray()).All(pair => IsValid(pair.Second, pair.First));
            case "uniqueItems":
                return !wanted.GetBoolean() || !items.Where((item, i) => items.Take(i).Any(other => JsonElement.DeepEquals(item, other))).Any();
            case "contains":
                var count = items.Count(item => IsValid(wanted, item));
                return count >= (schema.TryGetProperty("minContains", out var least) ? least.GetInt32() : 1) && (!schema.TryGetProperty("maxContains", out var most) || count <= most.GetInt32());
            default:
                return true;
        }
    }

    private bool HoldsObject(JsonElement schema, string word, JsonElement wanted, JsonElement value, Dictionary<string, JsonElement> properties)
    {
        switch (word)
        {
            case "minProperties":
                return properties.Count >= wanted.GetInt32();
            case "maxProperties":
                return properties.Count <= wanted.GetInt32();
            case "required":
                return wanted.EnumerateArray().All(name => properties.ContainsKey(name.GetString()!));
            case "properties":
                return wanted.EnumerateObject().All(property => !properties.TryGetValue(property.Name, out var own) || IsValid(property.Value, own));
            case "patternProperties":
                return wanted.EnumerateObject().All(pattern => properties.Where(property => Regex.IsMatch(property.Key, pattern.Name)).All(property => IsValid(pattern.Value, property.Value)));
            case "additionalProperties":
                return properties.All(property => (schema.TryGetProperty("properties", out var named) && named.TryGetProperty(property.Key, out _))
                    || (schema.TryGetProperty("patternProperties", out var patterns) && patterns.EnumerateObject().Any(pattern => Regex.IsMatch(property.Key, pattern.Name))) || IsValid(wanted, property.Value));
            case "propertyNames":
                return properties.Keys.All(name => IsValid(wanted, JsonSerializer.SerializeToElement(name)));
            case "dependentRequired":
                return wanted.EnumerateObject().All(property => !properties.ContainsKey(property.Name) || property.Value.EnumerateArray().All(name => properties.ContainsKey(name.GetString()!)));
            case "dependentSchemas":
                return wanted.EnumerateObject().All(property => !properties.ContainsKey(property.Name) || IsValid(property.Value, value));
            default:
                return true;
        }
    }

    private static bool IsType(string type, JsonElement value) => type switch
    {
        "integer" => value.ValueKind == JsonValueKind.Number && value.GetDecimal() == decimal.Truncate(value.GetDecimal()),
        "number" => value.ValueKind == JsonValueKind.Number,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        _ => string.Equals(value.ValueKind.ToString(), type, StringComparison.OrdinalIgnoreCase),
    };
}
