using System.Text.Json.Nodes;
using LocalLlm.Tests;
using NJsonSchema;
using YamlDotNet.Serialization;

namespace LocalLlm.Server.Tests.OpenAI;

/// <summary>OpenAI's own description of its API, as JSON schemas.</summary>
internal static class OpenApiSchemas
{
    private const string Prefix = "#/components/schemas/";
    // Each schema's YAML by its name: the whole description contains a text that some YAML readers refuse.
    private static readonly Lazy<Dictionary<string, string>> All = new(Load);

    /// <summary>The schema of a component, with every schema that it refers to.</summary>
    public static Task<JsonSchema> OfAsync(string component)
    {
        var definitions = new JsonObject();
        Add(component);
        var root = new JsonObject { ["$ref"] = "#/definitions/" + component, ["definitions"] = definitions };
        return JsonSchema.FromJsonAsync(root.ToJsonString());

        void Add(string name)
        {
            if (definitions.ContainsKey(name))
                return;
            var schema = Parse(All.Value[name]);
            definitions[name] = schema;
            foreach (var reference in References(schema).ToArray())
            {
                var target = reference["$ref"]!.GetValue<string>()[Prefix.Length..];
                reference["$ref"] = "#/definitions/" + target;
                Add(target);
            }
        }
    }

    private static IEnumerable<JsonObject> References(JsonNode? node) => node switch
    {
        JsonObject member when member.ContainsKey("$ref") => [member],
        JsonObject members => members.SelectMany(member => References(member.Value)),
        JsonArray items => items.SelectMany(References),
        _ => [],
    };

    private static Dictionary<string, string> Load()
    {
        var texts = new Dictionary<string, string>(StringComparer.Ordinal);
        var (isSchemas, name) = (false, "");
        foreach (var line in File.ReadLines(TestPaths.Shared("data", "api", "openai-openapi", "openapi.yaml")))
        {
            if (line.Length > 2 && line[2] != ' ' && line.StartsWith("  ", StringComparison.Ordinal))
                isSchemas = line == "  schemas:";
            else if (isSchemas && line.Length > 4 && line[4] != ' ' && line.EndsWith(':'))
                name = line.Trim().TrimEnd(':');
            else if (isSchemas && name.Length > 0)
                texts[name] = texts.GetValueOrDefault(name, "") + line + "\n";
        }

        return texts;
    }

    private static JsonNode Parse(string yaml)
    {
        var graph = new DeserializerBuilder().WithAttemptingUnquotedStringTypeDeserialization().Build().Deserialize(yaml);
        return JsonNode.Parse(new SerializerBuilder().JsonCompatible().Build().Serialize(graph!))!;
    }
}
