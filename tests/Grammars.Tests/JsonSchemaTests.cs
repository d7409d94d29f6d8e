using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Nodes;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Grammars.Tests;

public class JsonSchemaTests
{
    [Theory]
    [InlineData("""{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"],"additionalProperties":false}""", """{"b": "x", "a": 1}""", """{"a": 1}""", "!{}", """!{"a": 1, "c": 2}""", """!{"a": 1, "a": 1}""")]
    [InlineData("""{"type":["string","null"],"minLength":2,"maxLength":3}""", "\"ab\"", "null", "\"é\\n\"", "!\"a\"", "!\"abcd\"", "!1")]
    [InlineData("""{"type":"integer","minimum":-3,"exclusiveMaximum":120}""", "-3", "0", "119", "!120", "!-4", "!1.5", "!01")]
    [InlineData("""{"type":"array","items":{"enum":["a",1,null,{"x":[]}]},"minItems":1,"maxItems":2}""", "[\"a\"]", "[1, {\"x\":[]}]", "![]", "![1,1,1]", "![2]")]
    [InlineData("""{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["next"],"additionalProperties":false}}}""", """{"next": {"next": null}}""", """!{"next": {}}""")]
    [InlineData("""{"type":"string","pattern":"^[a-z]+$"}""", "\"abc\"", "!\"aB\"", "!\"\"")]
    [InlineData("""{"type":"string","format":"date"}""", "\"2024-02-29\"", "!\"2023-02-29\"", "!\"tomorrow\"")]
    [InlineData("""{"type":"string","format":"ipv6"}""", "\"::1\"", "\"1:2:3:4:5:6:7:8\"", "\"fe80::a:b:1.2.3.4\"", "!\"1::2::3\"", "!\"1:2:3:4:5:6:7\"")]
    [InlineData("""{"type":"string","format":"duration"}""", "\"P1Y2M\"", "\"PT5M\"", "\"P3W\"", "!\"P\"", "!\"P1YT\"")]
    [InlineData("""{"type":"number","minimum":0.25,"exclusiveMaximum":1.5}""", "0.25", "0.250", "1", "1.49", "0.3", "!0.24", "!1.5", "!1.50", "!0", "!-1")]
    [InlineData("""{"type":"number","exclusiveMinimum":-90.5,"maximum":-0.5}""", "-90.49", "-0.5", "-1", "!-90.5", "!-0.49", "!0")]
    [InlineData("""{"type":"number","multipleOf":0.05}""", "0", "0.1", "-3.15", "7.50", "!0.01", "!0.051")]
    [InlineData("""{"type":"integer","multipleOf":7,"minimum":10,"maximum":30}""", "14", "28", "!7", "!15", "!35")]
    [InlineData("""{"type":"number","not":{"type":"integer"}}""", "1.5", "-0.25", "!1", "!2.0")]
    [InlineData("""{"enum":[1,2.5,"a",null],"not":{"enum":[1,"a"]}}""", "2.5", "null", "!1", "!\"a\"")]
    [InlineData("""{"type":"integer","not":{"enum":[3,5]},"minimum":2,"maximum":6}""", "2", "4", "6", "!3", "!5", "!7")]
    [InlineData("""{"oneOf":[{"type":"integer"},{"minimum":3}]}""", "2", "3.5", "\"a\"", "!3", "!2.5")]
    [InlineData("""{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"null"},"maxItems":3}""", "[]", "[1]", "[1, \"a\"]", "[1, \"a\", null]", "![\"a\"]", "![1, \"a\", null, null]", "![1, \"a\", 2]")]
    [InlineData("""{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"integer"}],"additionalItems":false,"type":"array"}""", "[]", "[1]", "![1, 2]")]
    [InlineData("""{"type":"array","items":{"type":"integer"},"contains":{"minimum":10},"maxItems":2}""", "[10]", "[1, 11]", "[11, 1]", "![]", "![1]", "![1, 2]", "![1, 2, 11]")]
    [InlineData("""{"type":"array","items":{"type":"integer"},"contains":{"minimum":10},"minContains":2,"maxContains":2}""", "[10, 1, 11]", "![10]", "![10, 11, 12]")]
    [InlineData("""{"type":"array","uniqueItems":true,"items":{"enum":["a","b"]},"minItems":1}""", "[\"a\"]", "[\"b\", \"a\"]", "![]", "![\"a\", \"a\"]")]
    [InlineData("""{"type":"object","propertyNames":{"pattern":"^[a-z]$"},"properties":{"a":{"type":"null"},"bb":true}}""", "{\"a\": null, \"c\": 1}", "!{\"bb\": 1}", "!{\"a\": 1}")]
    [InlineData("""{"type":"object","if":{"properties":{"kind":{"const":"a"}},"required":["kind"]},"then":{"required":["x"]},"else":{"required":["y"]}}""", "{\"kind\": \"a\", \"x\": 1}", "{\"x\": 1, \"kind\": \"b\", \"y\": 1}", "{\"y\": 1}", "!{\"kind\": \"a\", \"y\": 1}", "!{}")]
    [InlineData("""{"type":"object","dependentSchemas":{"a":{"properties":{"b":{"type":"null"}},"required":["b"]}}}""", "{}", "{\"b\": 1}", "{\"b\": null, \"a\": 1}", "!{\"a\": 1}", "!{\"a\": 1, \"b\": 2}")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false,"allOf":[{"properties":{"a":{"minimum":3}}},{"required":["a"]}]}""", "{\"a\": 3}", "!{\"a\": 2}", "!{}", "!{\"a\": 3, \"b\": 1}")]
    [InlineData("""{"allOf":[{"anyOf":[{"type":"string"},{"type":"integer"}]},{"anyOf":[{"type":"integer"},{"type":"null"}]}]}""", "1", "!\"a\"", "!null")]
    [InlineData("""{"not":{"required":["a"],"properties":{"a":{"type":"string"}},"type":"object"}}""", "1", "{}", "{\"a\": 1}", "!{\"a\": \"x\"}")]
    [InlineData("""{"type":"array","not":{"items":{"type":"string"}}}""", "[1]", "[\"a\", null]", "![]", "![\"a\"]")]
    [InlineData("""{"$id":"https://example.com/a.json","$ref":"#node","$defs":{"x":{"$anchor":"node","type":"integer"}}}""", "1", "!\"a\"")]
    [InlineData("""{"$schema":"http://json-schema.org/draft-04/schema#","type":"integer","const":3,"minimum":2,"exclusiveMinimum":true}""", "4", "3", "!2")]
    [InlineData("""{"type":"string","pattern":"(^a$)|(^b)|c$"}""", "\"a\"", "\"bx\"", "\"xc\"", "!\"ax\"", "!\"xb\"", "!\"cx\"")]
    [InlineData("""{"type":"string","pattern":"^(^x|y)?z$"}""", "\"z\"", "\"xz\"", "\"yz\"", "!\"xxz\"", "!\"zz\"")]
    [InlineData("""{"type":"object","propertyNames":{"type":"integer"}}""", "{}", "!{\"a\": 1}")]
    [InlineData("""{"type":["object","null"],"propertyNames":false}""", "{}", "null", "!{\"a\": 1}")]
    [InlineData("""{"propertyNames":{"enum":["a","b"]},"type":"object","minProperties":2}""", "{\"a\": 1, \"b\": 2}", "!{\"a\": 1, \"a\": 1}")]
    [InlineData("""{"$id":"https://e.com/root","$defs":{"x":{"type":"integer"},"sub":{"$id":"https://e.com/sub","$defs":{"x":{"type":"string"}},"type":"object","properties":{"a":{"$ref":"#/$defs/x"}}}},"$ref":"#/$defs/sub"}""", "{\"a\": \"s\"}", "!{\"a\": 1}")]
    [InlineData("""{"$defs":{"default":{"$anchor":"d","type":"null"}},"$ref":"#d"}""", "null", "!1")]
    [InlineData("""{"enum":[[1e2],null],"items":{"type":"integer"}}""", "[100]", "null", "![1]")]
    [InlineData("""{"enum":[["😀"],null],"items":{"minLength":1,"pattern":"."}}""", "[\"😀\"]", "null")]
    [InlineData("""{"enum":[{"😀":1},null],"minProperties":1}""", "{\"😀\":1}", "null")]
    [InlineData("""{"const":1.0}""", "1", "1.0", "!2")]
    [InlineData("""{"type":"number","not":{"const":0}}""", "1", "!0", "!-0", "!-0.0", "!0.00")]
    [InlineData("""{"type":"array","uniqueItems":true,"items":{"enum":["a","a"]}}""", "[\"a\"]", "![\"a\", \"a\"]")]
    [InlineData("""{"type":["array","null"],"maxItems":1,"prefixItems":[{"type":"string"},{"type":"integer"}],"contains":{"type":"integer"}}""", "null", "~[")]
    [InlineData("""{"type":["array","null"],"minItems":2,"items":{"const":1},"contains":{"const":1},"maxContains":1}""", "null", "~[")]
    [InlineData("""{"type":"number","minimum":0,"maximum":1.7976931348623157E+308}""", "0", "12345678901234567890.5", "!-1")]
    [InlineData("""{"type":"integer","minimum":5,"maximum":123456}""", "5", "99", "100", "12345", "123456", "!4", "!123457", "!200000")]
    [InlineData("""{"type":"string","format":"uri"}""", "\"about:\"", "\"http://[::1]:80/a?b#c\"", "!\"a:##\"", "!\"http://[\"")]
    [InlineData("""{"type":"string","pattern":"^\\S.$"}""", "\"ab\"", "!\"\u00a0b\"", "!\"a\\r\"")]
    [InlineData("""{"type":"object","dependentRequired":{"a":["b"],"b":["c"],"d":["e"]},"properties":{"e":false},"maxProperties":3}""", "{\"b\": 1, \"c\": 1}", "{\"a\": 1, \"b\": 1, \"c\": 1}", "!{\"a\": 1, \"b\": 1}", "!{\"d\": 1}")]
    [InlineData("""{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}],"$defs":{"n":{"type":"object","required":["a"],"properties":{"a":{"$ref":"#/$defs/n"}}}}}""", "null", "~{")]
    [InlineData("""{"type":"object","properties":{"a":{"$ref":"#/$defs/n"},"b":{"type":"null"}},"additionalProperties":false,"$defs":{"n":{"type":"array","minItems":1,"items":{"$ref":"#/$defs/n"}}}}""", "{\"b\": null}", "{}", "~{\"b\": null,", "~{\"a")]
    [InlineData("""{"type":["object","null"],"additionalProperties":false,"properties":{"a":true,"b":true},"dependentRequired":{"a":["b"],"b":["a"]},"minProperties":1,"maxProperties":1}""", "null", "~{")]
    [InlineData("""{"type":["object","null"],"additionalProperties":false,"properties":{"a":true,"b":true,"c":true,"d":true,"e":true},"dependentRequired":{"a":["b"],"b":["a"],"c":["d"],"d":["c"]},"minProperties":3,"maxProperties":3}""", "{\"a\":1,\"e\":1,\"b\":1}", "~{\"a\":1,\"c", "!{\"e\":1}")]
    [InlineData("""{"type":"object","additionalProperties":false,"properties":{"a":true,"b":true,"c":true},"minProperties":2,"maxProperties":2}""", "{\"c\":1,\"a\":1}", "!{\"a\":1}", "~{\"a\":1,\"b\":1,")]
    [InlineData("""{"type":"number","minimum":0}""", "1e-06", "1E5", "1.5e+20", "0e0", "-0e5", "0.1e1", "1e400", "!-1e-6", "!1e", "!01e5")]
    [InlineData("""{"type":"number","minimum":10,"maximum":1000}""", "1e1", "1E+3", "1.5e2", "999e0", "1.000e1", "~2000.", "~0.5", "!1e0", "!1.001e3", "!9.99e0", "!-1e2")]
    [InlineData("""{"type":"number","exclusiveMinimum":-5.5,"exclusiveMaximum":2.25}""", "-5.49e0", "-5.4e-1", "1e-9", "2.24e0", "0e1", "~22.", "!-5.5e0", "!-55e-1", "!2.25e0", "!225e-2", "!1e1")]
    [InlineData("""{"type":"number","multipleOf":0.01}""", "1e-2", "15e-2", "1.234e1", "1e5", "!1e-3", "!1.5e-2", "!1.555e0")]
    [InlineData("""{"type":"number","multipleOf":3,"minimum":0}""", "6e2", "1.5e1", "0e0", "!1e5", "!1.5e0", "!-3e0")]
    [InlineData("""{"not":{"const":{"a":1,"b":[1]}}}""", "1", "{}", "{\"a\":1}", "{\"a\":1,\"b\":[1,2]}", "!{\"a\":1,\"b\":[1]}", "!{\"b\":[1],\"a\":1}")]
    [InlineData("""{"type":"array","not":{"enum":[[],[1,2]]}}""", "[1]", "[2,2]", "[1,2,3]", "![]", "![1,2]")]
    [InlineData("""{"type":"object","not":{"patternProperties":{"^x":{"type":"string"}}}}""", "{\"xa\":1}", "{\"a\":1,\"xb\":null}", "!{}", "!{\"a\":1}", "!{\"xa\":\"s\"}")]
    [InlineData("""{"type":"object","not":{"additionalProperties":{"type":"string"},"properties":{"a":true}}}""", "{\"xa\":1}", "{\"a\":1,\"xb\":null}", "!{}", "!{\"a\":1}", "!{\"xa\":\"s\",\"a\":2}")]
    [InlineData("""{"type":"object","not":{"propertyNames":{"maxLength":3}},"maxProperties":1}""", "{\"xaaa\":1}", "!{}", "!{\"a\":1}", "~{\"a\"")]
    [InlineData("""{"type":"string","pattern":"^([a-z]{2})*$","minLength":3,"maxLength":5}""", "\"abcd\"", "!\"ab\"", "!\"abc\"", "~\"abcde", "!\"abcdef\"")]
    [InlineData("""{"type":"string","pattern":"^a+é?$","maxLength":3}""", "\"aaa\"", "\"aaé\"", "~\"aaaa", "~\"aaaé", "!\"\"")]
    [InlineData("true", "[1, {\"a\": null}]", "!nul")]
    public void Only_instances_of_a_schema_are_texts_of_its_grammar(string schema, params string[] texts)
    {
        var automaton = Automaton(schema);
        foreach (var text in texts)
        {
            // '~': no text of the grammar begins like this; '!': this is not a text of the grammar.
            if (text.StartsWith('~'))
                Assert.Equal(GrammarState.Dead, System.Text.Encoding.UTF8.GetBytes(text[1..]).Aggregate(automaton.Start, automaton.Next));
            else
                Assert.Equal(!text.StartsWith('!'), Accepts(automaton, text.TrimStart('!')));
        }
    }

    [Fact]
    public void A_schema_whose_instances_would_never_end_is_refused() =>
        Assert.Contains("no text can end", Assert.Throws<GrammarException>(() => Automaton("""{"type":"object","required":["a"],"properties":{"a":{"$ref":"#"}}}""")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"allOf":[{"$ref":"#"}]}""")]
    [InlineData("""{"type":"object","anyOf":[{"$ref":"#"},{"$ref":"#"}]}""")]
    [InlineData("""{"$ref":"#","type":"object"}""")]
    [InlineData("""{"$ref":"#/nowhere"}""")]
    [InlineData("""{"$ref":"https://example.com/other.json"}""")]
    [InlineData("""{"type":"text"}""")]
    [InlineData("""{"properties":[1]}""")]
    [InlineData("""{"type":"integer","minimum":1e400}""")]
    [InlineData("""{"not":{}}""")]
    [InlineData("""{"type":"array","uniqueItems":true,"items":{"type":"string"}}""")]
    [InlineData("""{"unevaluatedProperties":false}""")]
    [InlineData("""{"minimum":1e-2147483648}""")]
    [InlineData("""{"enum":[1e99999999999,1],"const":2}""")]
    [InlineData("""{"type":"integer","type":"integer"}""")]
    [InlineData("""{"$schema":"http://json-schema.org/draft-04/schema#","const":"\ud800","enum":["\ud800"]}""")]
    [InlineData("7")]
    [InlineData("false")]
    public void What_cannot_be_enforced_is_refused_with_its_place(string schema) =>
        Assert.StartsWith("#", Assert.ThrowsAny<GrammarException>(() => Automaton(schema)).Message);

    [Theory]
    [MemberData(nameof(LargeSchemas))]
    public void A_schema_that_is_made_to_be_large_ends_in_a_grammar_or_an_error(string schema)
    {
        try
        {
            Automaton(schema);
        }
        catch (GrammarException refusal)
        {
            Assert.StartsWith("#", refusal.Message);
        }
    }

    public static TheoryData<string> LargeSchemas()
    {
        // '%' stands for the number of a part, '+' for the number of the next part.
        static string Many(int count, string part) => string.Join(',', Enumerable.Range(0, count).Select(i => part.Replace("+", $"{i + 1}", StringComparison.Ordinal).Replace("%", $"{i}", StringComparison.Ordinal)));
        const string Entry = "{'type':'object','properties':{'p%':{'type':'integer'},'q':{'minLength':%}}}";
        string[] schemas =
        [
            "{'$ref':'#/$defs/a0','$defs':{" + Many(12, "'a%':{'allOf':[" + string.Join(',', Enumerable.Repeat("{'$ref':'#/$defs/a+'}", 10)) + "]}") + ",'a12':{'type':'null'}}}",
            "{'type':'object','allOf':[" + Many(14, "{'anyOf':[{'required':['a%']},{'required':['b%']},{'properties':{'c%':{'type':'null'}}}]}") + "]}",
            "{'oneOf':[" + Many(300, Entry) + "]}",
            "{'type':'string','pattern':'^" + new string('a', 32_000) + "'}",
            "{'type':'object','dependencies':{'a':'" + new string('x', 150_000) + "'}}",
            "{'type':'object','dependentRequired':{" + Many(1_500, "'p%':['p+']") + "},'properties':{'p1500':false}}",
            "{'x':[" + Many(150_000, "{}") + "]}",
            "{'oneOf':[" + Many(20, "{'$ref':'#/$defs/big','title':'%'}") + "],'$defs':{'big':{'type':'object','required':[" + Many(50_000, "'r%'") + "]}}}",
            "{'type':'object','properties':{" + Many(100, "'n%':{}") + "},'additionalProperties':false,'not':{'patternProperties':{" + Many(20, "'x%(ab){9000}$':{'type':'null'}") + "}}}",
            "{'enum':['" + string.Concat(Enumerable.Range(0, 16_000).Select(i => "ab"[i * i % 7 % 2])) + "','x'],'pattern':'a[ab]{0,9000}c'}",
            "{'not':{'oneOf':[" + Many(60, Entry) + "]}}",
            "{'oneOf':[" + Many(400, Entry.Replace("}}}", "}},'required':['q'],'additionalProperties':false}", StringComparison.Ordinal)) + "]}",
            "{'type':'string','allOf':[" + Many(8, "{'pattern':'[ab]*a[ab]{1%}'}") + "]}",
            "{'type':'array','uniqueItems':true,'items':{'allOf':[" + Many(9, "{'anyOf':[{'const':1},{'const':2},{'enum':[3,4,5]},{'const':'a'}]}") + "]}}",
            "{'type':'array','allOf':[" + Many(4, "{'contains':{'minimum':%},'maxContains':2%}") + "],'prefixItems':[" + Many(200, "{}") + "]}",
            "{'enum':[" + Many(30_000, "%") + "],'not':{'enum':[" + Many(30_000, "1%") + "]}}",
            "{'type':'number','allOf':[" + Many(5, "{'multipleOf':99%}") + "]}",
            "{'$ref':'#/$defs/n','$defs':{'n':{'type':'object','required':[" + Many(10, "'r%'") + "],'properties':{" + Many(10, "'r%':{'$ref':'#/$defs/n'}") + "},'oneOf':[{'title':'a'},{'title':'b'}]}}}",
        ];
        return [.. schemas.Select(schema => new TheoryDataRow<string>(schema.Replace('\'', '"')))];
    }

    [Fact]
    public void A_long_name_is_refused()
    {
        var schema = JsonSerializer.Serialize(new { properties = new Dictionary<string, object> { [new string('a', 200_000)] = new { type = "integer" } } });
        Assert.Throws<GrammarException>(() => Automaton(schema));
    }

    [Fact]
    public void Any_change_of_a_schema_makes_a_grammar_or_a_clear_error()
    {
        var path = TestPaths.Shared("data", "api", "jsonschemabench", "maskbench.jsonl.gz");
        using var reader = new StreamReader(new GZipStream(File.OpenRead(path), CompressionMode.Decompress));
        var (random, made, refused) = (new Random(9), 0, 0);
        for (var i = 0; i < 1500 && reader.ReadLine() is { } line; i++)
        {
            var schema = JsonNode.Parse(line, documentOptions: new() { MaxDepth = 512 })!["schema"]!.ToJsonString(new() { MaxDepth = 512 });
            if (schema.Length > 5000)
                continue;
            var changed = JsonNode.Parse(schema)!;
            for (var times = random.Next(3); times >= 0; times--)
                Change(changed, random);
            try
            {
                Automaton(changed.ToJsonString());
                made++;
            }
            catch (GrammarException)
            {
                refused++;
            }
        }

        Assert.True(made > 100 && refused > 100, $"{made} made, {refused} refused");
    }

    // Replaces one value by another.
    private static void Change(JsonNode root, Random random)
    {
        var all = new List<JsonNode>();
        Collect(root, all);
        if (all.Count == 0)
            return;
        var other = random.Next(3) == 0 ? all[random.Next(all.Count)].DeepClone() : JsonNode.Parse(random.Next(10) switch
        {
            0 => "null", 1 => "true", 2 => "-1", 3 => "1.5", 4 => "[]", 5 => "{}", 6 => "\"#\"", 7 => "[{\"$ref\":\"#\"}]", 8 => "{\"$ref\":\"#\"}", _ => "[1,\"a\",null]",
        });
        all[random.Next(all.Count)].ReplaceWith(other);
    }

    private static void Collect(JsonNode node, List<JsonNode> found)
    {
        var children = node switch { JsonObject map => map.Select(pair => pair.Value), JsonArray list => list, _ => [] };
        foreach (var child in children.OfType<JsonNode>())
        {
            found.Add(child);
            Collect(child, found);
        }
    }

    private static ByteAutomaton Automaton(string schema)
    {
        var nodes = new GrammarNodes(GrammarLimits.Default);
        using var document = JsonDocument.Parse(schema);
        return new(nodes, nodes.Finish(JsonSchemaGrammar.Parse(nodes, document.RootElement)), GrammarLimits.Default);
    }

    private static bool Accepts(ByteAutomaton automaton, string text)
    {
        var state = automaton.Start;
        foreach (var value in System.Text.Encoding.UTF8.GetBytes(text))
            state = automaton.Next(state, value);
        return state.IsAccepting;
    }
}
