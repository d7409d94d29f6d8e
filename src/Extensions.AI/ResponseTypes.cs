using System.Collections.Concurrent;
using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Finds the .NET type behind a response format, to tighten its schema. <c>GetResponseAsync&lt;T&gt;</c> passes only T's name and schema,
/// in which a byte, an int and a decimal look alike. A type of this process with that name and exactly that schema is T, or equivalent to
/// it. If there is none, the schema alone is used. Thread-safe.
/// </summary>
internal static partial class ResponseTypes
{
    private const int MaxKept = 256;
    private const string Wrapped = "data"; // the property in which the library wraps a value that is not an object
    private const string ArrayEnd = "__"; // of "Int32[]"

    // As in OpenAI's strict mode: the caller deserializes the type, so the model must neither omit nor add properties.
    private static readonly AIJsonSchemaTransformOptions Strict = new() { DisallowAdditionalProperties = true, RequireAllProperties = true };

    private static readonly ConcurrentDictionary<(string? Name, string Schema), JsonElement> Known = new();

    /// <summary>The schema of the type that the caller deserializes.</summary>
    public static JsonElement SchemaOf(ChatResponseFormatJson format)
    {
        var schema = format.Schema!.Value;
        var key = (format.SchemaName, schema.GetRawText());
        if (Known.TryGetValue(key, out var known))
            return known;
        if (Known.Count >= MaxKept)
            Known.Clear();
        return Known[key] = AIJsonUtilities.TransformSchema(Typed(format.SchemaName, schema) ?? DotNetSchemas.WithoutType(schema, WholeNumbers(format.SchemaName)), Strict);
    }

    // A caller's own schema may allow any number that a .NET type holds. The name of a generic type (List_1) does not show its arguments,
    // which are usually int.
    private static (long Least, long Most) WholeNumbers(string? name) => name is not null && GenericName().IsMatch(name) ? (int.MinValue, int.MaxValue) : (long.MinValue, long.MaxValue);

    private static JsonElement? Typed(string? name, JsonElement schema)
    {
        if (string.IsNullOrEmpty(name))
            return null;

        // The caller's own types come first: many types of the platform have common names such as Flags.
        var types = TypesNamed(name).ToLookup(IsOfPlatform);
        return OneOf(types[false], schema) ?? OneOf(types[true], schema);
    }

    private static bool IsOfPlatform(Type type) =>
        type.Assembly.GetName().Name is { } name && (name.StartsWith("System.", StringComparison.Ordinal) || name.StartsWith("Microsoft.", StringComparison.Ordinal));

    // The schema of the types that fit; null if none fits or their schemas differ.
    private static JsonElement? OneOf(IEnumerable<Type> types, JsonElement schema)
    {
        JsonElement? found = null;
        foreach (var type in types)
        {
            try
            {
                if (Fitted(schema, type) is not { } typed)
                    continue;
                if (found is { } other && !JsonElement.DeepEquals(other, typed))
                    return null;
                found = typed;
            }
            catch (Exception unknown) when (unknown is NotSupportedException or InvalidOperationException or ArgumentException)
            {
                // A type without a schema cannot be the one.
            }
        }

        return found;
    }

    // The tightened schema of the type, if its plain schema is the one that the caller passed, bare or wrapped.
    private static JsonElement? Fitted(JsonElement schema, Type type)
    {
        var plain = AIJsonUtilities.CreateJsonSchema(type);
        if (JsonElement.DeepEquals(WithoutDialect(plain), WithoutDialect(schema)))
            return DotNetSchemas.Of(type);
        if (!schema.TryGetProperty("properties", out var properties) || properties.GetPropertyCount() != 1 || !properties.TryGetProperty(Wrapped, out var inner))
            return null;
        return JsonElement.DeepEquals(WithoutDialect(plain), WithoutDialect(inner))
            ? JsonSerializer.SerializeToElement(schema.EnumerateObject().ToDictionary(word => word.Name, word => word.Name == "properties" ? new Dictionary<string, JsonElement> { [Wrapped] = WithoutDialect(DotNetSchemas.Of(type)) } : (object)word.Value), AIJsonUtilities.DefaultOptions)
            : null;
    }

    private static JsonElement WithoutDialect(JsonElement schema) => schema.ValueKind != JsonValueKind.Object
        ? schema
        : JsonSerializer.SerializeToElement(schema.EnumerateObject().Where(word => word.Name != "$schema").ToDictionary(word => word.Name, word => word.Value), AIJsonUtilities.DefaultOptions);

    private static List<Type> TypesNamed(string name)
    {
        var isArray = name.EndsWith(ArrayEnd, StringComparison.Ordinal);
        var wanted = isArray ? name[..^ArrayEnd.Length] : name;
        var found = new List<Type>();
        foreach (var assembly in AppDomain.CurrentDomain.GetAssemblies())
        {
            Type[] types;
            try
            {
                types = assembly.GetTypes();
            }
            catch (ReflectionTypeLoadException partly)
            {
                types = [.. partly.Types.OfType<Type>()];
            }
            catch (NotSupportedException)
            {
                continue;
            }

            found.AddRange(types.Where(type => type.Name.Length == wanted.Length && !type.ContainsGenericParameters && !type.IsByRefLike && !type.IsPointer && NotInNames().Replace(type.Name, "_") == wanted));
        }

        return isArray ? found.ConvertAll(type => type.MakeArrayType()) : found;
    }

    [GeneratedRegex("_[1-9]$")]
    private static partial Regex GenericName();

    [GeneratedRegex("[^0-9A-Za-z_]")]
    private static partial Regex NotInNames();
}
