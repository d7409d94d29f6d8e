using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Xunit;

namespace LocalLlm.Grammars.Tests;

/// <summary>Random schemas with all keywords, compared with the standard in both directions.</summary>
public class SchemaFuzzTests
{
    private static readonly string[] Names = ["a", "b", "ab", "c"];

    [Fact]
    public void The_texts_of_a_schemas_grammar_are_its_instances_and_its_instances_are_texts()
    {
        var count = int.Parse(Environment.GetEnvironmentVariable("LOCALLLM_RANDOM_SCHEMAS") ?? "1500", System.Globalization.CultureInfo.InvariantCulture);
        var (made, refused, walked, valid, invalid) = (0, 0, 0, 0, 0);
        for (var seed = 0; seed < count; seed++)
        {
            var random = new Random(seed);
            var text = Root(random).ToJsonString();
            using var schema = JsonDocument.Parse(text);
            ByteAutomaton automaton;
            try
            {
                var nodes = new GrammarNodes(GrammarLimits.Default);
                automaton = new(nodes, nodes.Finish(JsonSchemaGrammar.Parse(nodes, schema.RootElement)), GrammarLimits.Default);
                made++;
            }
            catch (GrammarException)
            {
                refused++;
                continue;
            }

            var oracle = new SchemaOracle(schema.RootElement);
            for (var i = 0; i < 40; i++)
            {
                var instance = Instance(random, 2)?.ToJsonString() ?? "null";
                using var value = JsonDocument.Parse(instance);
                var expected = oracle.IsValid(value.RootElement);
                Assert.True(expected == Accepts(automaton, instance), $"seed {seed}: {text}\n{instance} is {(expected ? "valid" : "invalid")}");
                (valid, invalid) = expected ? (valid + 1, invalid) : (valid, invalid + 1);
            }

            for (var i = 0; i < 6; i++)
            {
                if (Walk(automaton, random, $"seed {seed}: {text}") is not { } written)
                    continue;
                if (Parsed(written) is not { } value)
                    continue;
                Assert.True(oracle.IsValid(value), $"seed {seed}: {text}\n{written} is a text of the grammar");
                walked++;
            }
        }

        TestContext.Current.SendDiagnosticMessage($"{made} made, {refused} refused, {walked} walked, {valid} valid, {invalid} invalid");
        Assert.True(made > count / 2 && walked > count && valid > count && invalid > count, $"{made} made, {refused} refused, {walked} walked, {valid} valid, {invalid} invalid");
    }

    private static JsonObject Root(Random random)
    {
        var schema = Schema(random, 3);
        schema["$defs"] = new JsonObject { ["x"] = Schema(random, 1, withReferences: false), ["y"] = Schema(random, 0, withReferences: false) };
        return schema;
    }

    private static JsonNode Inner(Random random, int depth, bool withReferences) => random.Next(12) switch { 0 => JsonValue.Create(true), 1 => JsonValue.Create(false), _ => Schema(random, depth - 1, withReferences) };

    private static JsonObject Schema(Random random, int depth, bool withReferences = true)
    {
        var schema = new JsonObject();
        if (random.Next(3) > 0)
            schema["type"] = random.Next(4) == 0 ? new JsonArray(Type(random), "null") : Type(random);
        for (var i = random.Next(depth > 0 ? 4 : 2); i >= 0; i--)
        {
            var (word, value) = Word(random, depth, withReferences);
            schema[word] = value;
        }

        if (schema["type"] is JsonArray { Count: 2 } types && types[0]!.ToString() == "null")
            schema["type"] = "null";
        return schema;
    }

    private static string Type(Random random) => random.Next(8) switch { 0 => "string", 1 => "integer", 2 => "number", 3 => "boolean", 4 => "null", 5 => "array", _ => "object" };

    private static (string Word, JsonNode Value) Word(Random random, int depth, bool withReferences)
    {
        JsonNode Part() => Inner(random, depth, withReferences);
        JsonArray Parts() => [.. Enumerable.Range(0, 1 + random.Next(3)).Select(_ => Part())];
        JsonObject Named() => new(Names.Where(_ => random.Next(2) == 0).Select(name => KeyValuePair.Create<string, JsonNode?>(name, Part())));
        JsonArray SomeNames() => [.. Names.Where(_ => random.Next(3) == 0).Select(name => (JsonNode)name)];
        switch (random.Next(depth > 0 ? 33 : 12))
        {
            case 0: return ("enum", new JsonArray([.. Enumerable.Range(0, 1 + random.Next(4)).Select(_ => Instance(random, 1))]));
            case 1: return ("const", Instance(random, 1) ?? JsonValue.Create(false));
            case 2: return (random.Next(2) == 0 ? "minimum" : "exclusiveMinimum", Number(random));
            case 3: return (random.Next(2) == 0 ? "maximum" : "exclusiveMaximum", Number(random));
            case 4: return ("multipleOf", random.Next(3) switch { 0 => 2, 1 => 0.5m, _ => 3 });
            case 5: return ("minLength", random.Next(3));
            case 6: return ("maxLength", random.Next(4));
            case 7: return ("pattern", random.Next(3) switch { 0 => "^a", 1 => "b$", _ => "^[ab]+$" });
            case 8: return ("minItems", random.Next(3));
            case 9: return ("maxItems", random.Next(3));
            case 10: return ("required", SomeNames());
            case 11 when withReferences: return ("$ref", random.Next(2) == 0 ? "#/$defs/x" : "#/$defs/y");
            case 12: return ("minProperties", random.Next(3));
            case 13: return ("maxProperties", random.Next(3));
            case 14: return ("propertyNames", random.Next(2) == 0 ? new JsonObject { ["pattern"] = "^a" } : new JsonObject { ["maxLength"] = 1 });
            case 15: return ("dependentRequired", new JsonObject { [Names[random.Next(4)]] = SomeNames() });
            case 16: return ("dependentSchemas", new JsonObject { [Names[random.Next(4)]] = Part() });
            case 17: return ("patternProperties", new JsonObject { [random.Next(2) == 0 ? "^a" : "b"] = Part() });
            case 18 or 19: return ("additionalProperties", Part());
            case 20: return ("items", Part());
            case 21: return ("prefixItems", Parts());
            case 22: return ("contains", Part());
            case 23: return ("uniqueItems", true);
            case 24: return ("anyOf", Parts());
            case 25: return ("oneOf", Parts());
            case 26: return ("allOf", Parts());
            case 27: return ("not", Part());
            case 28: return ("if", Part());
            case 29: return ("then", Part());
            case 30: return ("else", Part());
            default: return ("properties", Named());
        }
    }

    private static JsonValue Number(Random random) => random.Next(3) == 0 ? JsonValue.Create((decimal)random.Next(-4, 8) / 2) : JsonValue.Create(random.Next(-2, 5));

    private static JsonNode? Instance(Random random, int depth)
    {
        switch (random.Next(depth > 0 ? 10 : 6))
        {
            case 0: return null;
            case 1: return random.Next(2) == 0;
            case 2 or 3: return random.Next(3) == 0 ? JsonValue.Create(random.Next(-4, 8) + 0.5m) : JsonValue.Create(random.Next(-3, 6));
            case 4 or 5: return string.Concat(Enumerable.Range(0, random.Next(4)).Select(_ => "abc"[random.Next(3)]));
            case 6: return new JsonArray([.. Enumerable.Range(0, random.Next(4)).Select(_ => Instance(random, depth - 1))]);
            default: return new JsonObject(Names.Where(_ => random.Next(2) == 0).OrderBy(_ => random.Next()).Select(name => KeyValuePair.Create(name, Instance(random, depth - 1))));
        }
    }

    // A random text of the grammar, chosen byte by byte; null: it did not end soon.
    private static string? Walk(ByteAutomaton automaton, Random random, string what)
    {
        var bytes = new List<byte>();
        for (var state = automaton.Start; bytes.Count < 400;)
        {
            if (state.IsAccepting && random.Next(4) == 0)
                return Encoding.UTF8.GetString([.. bytes]);
            // Bytes that end something come first: after 30 bytes only the first three are used, so that the text ends.
            var open = "\"}],:{[0123456789.-abctruefalsnl"u8.ToArray().Where(value => automaton.Next(state, value) != GrammarState.Dead).ToArray();
            if (open.Length == 0)
                return state.IsAccepting ? Encoding.UTF8.GetString([.. bytes]) : throw new InvalidOperationException($"{what}\na dead end after {Encoding.UTF8.GetString([.. bytes])}");
            var next = open[random.Next(bytes.Count < 30 ? open.Length : Math.Min(3, open.Length))];
            bytes.Add(next);
            state = automaton.Next(state, next);
        }

        return null;
    }

    // Null if a name that the schema does not know occurs twice, which a grammar cannot prevent, or if a number is too long to compare.
    private static JsonElement? Parsed(string text)
    {
        if (Regex.IsMatch(text, "[0-9.]{18}|[0-9]e"))
            return null;
        try
        {
            using var document = JsonDocument.Parse(text, new() { AllowDuplicateProperties = false });
            return document.RootElement.Clone();
        }
        catch (JsonException wrong) when (wrong.Message.Contains("uplicate", StringComparison.Ordinal))
        {
            return null;
        }
    }

    private static bool Accepts(ByteAutomaton automaton, string text) => Encoding.UTF8.GetBytes(text).Aggregate(automaton.Start, automaton.Next).IsAccepting;
}
