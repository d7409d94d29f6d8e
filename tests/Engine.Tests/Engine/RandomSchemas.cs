using System.Text.Json.Nodes;

namespace LocalLlm.Tests.Engine;

/// <summary>Random JSON schemas with the keywords of draft 4 and with small instances.</summary>
internal static class RandomSchemas
{
    public static JsonObject Make(Random random)
    {
        var schema = Object(random, 3);
        schema["definitions"] = new JsonObject
        {
            ["leaf"] = Value(random, 0),
            ["list"] = new JsonObject
            {
                ["type"] = "object",
                ["properties"] = new JsonObject { ["next"] = new JsonObject { ["$ref"] = "#/definitions/list" }, ["leaf"] = new JsonObject { ["$ref"] = "#/definitions/leaf" } },
                ["required"] = new JsonArray("leaf"),
                ["additionalProperties"] = false,
            },
        };
        return schema;
    }

    private static JsonObject Value(Random random, int depth) => random.Next(depth > 0 ? 12 : 7) switch
    {
        0 => new() { ["type"] = "integer", ["minimum"] = -random.Next(200), ["maximum"] = random.Next(3000) },
        1 => new() { ["type"] = "string", ["minLength"] = random.Next(3), ["maxLength"] = 3 + random.Next(20) },
        2 => new() { ["type"] = "string", ["pattern"] = "^[A-Z][a-z]{2,8}( [0-9]{1,3})?$" },
        3 => new() { ["type"] = "string", ["format"] = random.Next(2) == 0 ? "date" : "ipv4" },
        4 => new() { ["enum"] = new JsonArray("red", "gr\u00fcn \"x\"", 7, true, null) },
        5 => new() { ["type"] = new JsonArray("boolean", "null") },
        6 => new() { ["type"] = "number", ["minimum"] = random.Next(10), ["maximum"] = 10 + random.Next(90) },
        7 => new() { ["type"] = "array", ["items"] = Value(random, depth - 1), ["minItems"] = random.Next(2), ["maxItems"] = 1 + random.Next(4) },
        8 => new() { ["anyOf"] = new JsonArray(Value(random, depth - 1), Value(random, depth - 1)) },
        9 => new() { ["$ref"] = random.Next(2) == 0 ? "#/definitions/leaf" : "#/definitions/list" },
        _ => Object(random, depth),
    };

    private static JsonObject Object(Random random, int depth)
    {
        var (properties, required) = (new JsonObject(), new JsonArray());
        for (var i = random.Next(5); i >= 0; i--)
        {
            properties[$"{(char)('a' + i)}{new string('_', random.Next(2))}{i}"] = Value(random, depth - 1);
            if (random.Next(2) == 0)
                required.Add(properties.Last().Key);
        }

        return new() { ["type"] = "object", ["properties"] = properties, ["required"] = required, ["additionalProperties"] = false };
    }
}
