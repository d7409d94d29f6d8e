using System.IO.Compression;
using System.Text.Json;
using LocalLlm.Tests;
using LocalLlm.Tokenizers;
using Xunit;

namespace LocalLlm.Grammars.Tests;

/// <summary>Compiling a grammar and walking a text through it take bounded work and memory.</summary>
public class GrammarWorkTests
{
    private const long MaxAllocated = 64L << 20;
    private const string AnyOfRequired = """{"anyOf":[{"required":["a%"]<},{"required":["b%"]<}]}""";

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void A_valid_instance_is_never_stopped_token_by_token(string folder)
    {
        var tokenizer = Tokenizer.Load(folder == "tiny-r1" ? TestPaths.TinyR1 : TestPaths.Shared("data", "tokenizers", folder));
        var trie = Trie(tokenizer);
        using var reader = new StreamReader(new GZipStream(File.OpenRead(TestPaths.Shared("data", "api", "jsonschemabench", "maskbench.jsonl.gz")), CompressionMode.Decompress));
        var stride = Environment.GetEnvironmentVariable("LOCALLLM_SCHEMA_REPORT") is null ? 50 : 1;
        var (walked, wrong) = (0, new List<string>());
        for (var i = 0; reader.ReadLine() is { } line; i++)
        {
            if (i % stride != 0)
                continue;
            using var entry = JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 512 });
            if (Compiled(entry.RootElement.GetProperty("schema"), trie) is not { } grammar)
                continue;
            foreach (var test in entry.RootElement.GetProperty("tests").EnumerateArray().Where(test => test.GetProperty("valid").GetBoolean()))
            {
                walked++;
                if (Stopped(grammar, tokenizer, JsonSerializer.Serialize(test.GetProperty("data"), Compact)) is { } reason)
                    wrong.Add($"{entry.RootElement.GetProperty("file").GetString()}: {reason}");
            }
        }

        Assert.True(walked > 50);
        Assert.Empty(wrong);
    }

    public static TheoryData<string> Tokenizers() => ["tiny-r1", "deepseek-r1-distill-qwen-32b"];

    [Theory]
    [MemberData(nameof(Branching))]
    public void Alternatives_that_hold_together_are_walked_in_little_work(string schema, string instance)
    {
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        using var document = JsonDocument.Parse(schema, new JsonDocumentOptions { MaxDepth = 512 });
        Assert.Null(Stopped(Compiled(document.RootElement, Trie(tokenizer))!, tokenizer, instance));
    }

    public static TheoryData<string, string> Branching()
    {
        const string Open = """{"required":["%"],"properties":{"%":{"type":"object","required":["name","description"],"properties":{"name":{"type":"string"},"description":{"type":"string"}}}}}""";
        static string OneOf(int count) => $$"""{"oneOf":[{{string.Join(',', Enumerable.Range(0, count).Select(i => Open.Replace("%", $"{(char)('a' + i)}", StringComparison.Ordinal)))}}]}""";
        var nested = "";
        for (var level = 8; level >= 0; level--)
            nested = AnyOfRequired.Replace("%", $"{level}", StringComparison.Ordinal).Replace("<", nested.Length == 0 ? "" : $",{nested[1..^1]}", StringComparison.Ordinal);
        var names = string.Join(',', Enumerable.Range(0, 9).Select(i => $"\"{(i % 2 == 0 ? 'a' : 'b')}{i}\": {i}"));
        return new()
        {
            { OneOf(4), """{"a": {"name": "x", "description": "y"}}""" },
            { OneOf(5), """{"e": {"name": "x", "description": "y"}, "other": [1, {"deep": null}]}""" },
            { nested, $"{{{names}}}" },
            { """{"type":"object","allOf":[{"anyOf":[{"required":["a"]},{"required":["b"]}]},{"anyOf":[{"required":["c"]},{"required":["d"]}]},{"anyOf":[{"required":["e"]},{"required":["f"]}]}]}""", """{"b": 1, "c": {"x": [1, 2, "three"]}, "f": null}""" },
            { """{"type":"object","not":{"required":["a","b","c","d"]},"minProperties":1}""", """{"a": "long text", "b": 1, "c": {"d": 4}}""" },
        };
    }

    [Theory]
    [MemberData(nameof(Hostile))]
    public void A_grammar_is_made_or_refused_in_bounded_memory(string kind, string text)
    {
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        var trie = Trie(tokenizer);
        var compiler = new GrammarCompiler();
        compiler.Compile(new GrammarSource.Choice(["a"]), trie);
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            compiler.Compile(kind switch { "json" => new GrammarSource.JsonSchema(text), "regex" => new GrammarSource.Regex(text), _ => new GrammarSource.Ebnf(text) }, trie);
        }
        catch (GrammarException refusal)
        {
            Assert.NotEmpty(refusal.Message);
        }

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < MaxAllocated, $"{allocated >> 20} MiB for {text[..Math.Min(80, text.Length)]}");
    }

    public static TheoryData<string, string> Hostile()
    {
        static string Many(int count, string part) => string.Join(',', Enumerable.Range(0, count).Select(i => part.Replace("%", $"{i}", StringComparison.Ordinal)));
        (string, string)[] hostile =
        [
            ("json", "{'type':'string','pattern':'^list|date|time|string|enum|int|double|long|boolean|number$','not':{'const':'enum'}}"),
            ("json", "{'type':'string','format':'email','maxLength':1024}"),
            ("json", "{'type':'string','format':'uri','minLength':1,'maxLength':65536}"),
            ("json", "{'type':'string','pattern':'^(a|b)*a[ab]{40}$','maxLength':500}"),
            ("json", "{'type':'string','pattern':'^(a|b)*a[ab]{12}$','not':{'pattern':'b[ab]{12}$'}}"),
            ("json", "{'type':'number','allOf':[" + Many(5, "{'multipleOf':99%}") + "]}"),
            ("json", "{'type':'object','allOf':[" + Many(14, "{'anyOf':[{'required':['a%']},{'required':['b%']},{'properties':{'c%':{'type':'null'}}}]}") + "]}"),
            ("json", "{'not':{'oneOf':[" + Many(60, "{'properties':{'p%':{'type':'integer'}}}") + "]}}"),
            ("json", "{'oneOf':[" + Many(300, "{'type':'object','properties':{'p%':{'type':'integer'},'q':{'minLength':%}}}") + "]}"),
            ("json", "{'type':'object','properties':{" + Many(300, "'p%':{'type':'number','minimum':%.5,'maximum':1%00}") + "}}"),
            ("regex", "((a{100}){100}){40}"),
            ("regex", "((a|b)*a[ab]{400}){20}"),
            ("regex", "([^a-z]{1,15}){1000}"),
            ("regex", "((a?){100}){100}"),
            ("regex", "(.*a){1000}"),
            ("regex", string.Join('|', Enumerable.Repeat("a*b*c*d*", 2000))),
            ("ebnf", "root ::= a{1000}\na ::= (b | c){1,200}\nb ::= [a-z]* \"x\"\nc ::= [a-z]* \"y\""),
            ("ebnf", "root ::= (" + string.Concat(Enumerable.Repeat("\"a\"? ", 3000)) + ")* \"b\""),
        ];
        return [.. hostile.Select(pair => new TheoryDataRow<string, string>(pair.Item1, pair.Item1 == "json" ? pair.Item2.Replace('\'', '"') : pair.Item2))];
    }

    [Fact]
    public void A_request_without_credit_goes_on_with_short_tokens()
    {
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        var nodes = new GrammarNodes(GrammarLimits.Default);
        var automaton = new ByteAutomaton(nodes, nodes.Finish(RegexGrammar.Parse(nodes, "([a-z]{2,9} ){1,400}[ab]*a[ab]{20}")), GrammarLimits.Default);
        var grammar = new CompiledGrammar(automaton, Trie(tokenizer), GrammarLimits.Default);
        var (state, random) = (grammar.Start, new Random(3));
        for (var step = 0; step < 40; step++)
        {
            var credit = 0L;
            var mask = grammar.Mask(ref state, ref credit).ToArray();
            var allowed = Enumerable.Range(0, tokenizer.VocabularySize).Where(id => (mask[id / 32] >> (id % 32) & 1) != 0).ToArray();
            Assert.NotEmpty(allowed);
            state = grammar.Next(state, allowed[random.Next(allowed.Length)], ref credit);
            Assert.NotEqual(GrammarState.Dead, state);
        }
    }

    private static readonly JsonSerializerOptions Compact = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = 512 };

    private static TokenTrie Trie(Tokenizer tokenizer) => new(tokenizer.VocabularySize, id => tokenizer.IsAdded(id) ? [] : tokenizer.IdToBytes(id).ToArray());

    private static CompiledGrammar? Compiled(JsonElement schema, TokenTrie trie)
    {
        try
        {
            var nodes = new GrammarNodes(GrammarLimits.Default);
            return new(new(nodes, nodes.Finish(JsonSchemaGrammar.Parse(nodes, schema)), GrammarLimits.Default), trie, GrammarLimits.Default);
        }
        catch (GrammarException)
        {
            return null;
        }
    }

    // Generates a text token by token as the engine does. Returns why that fails, or null.
    private static string? Stopped(CompiledGrammar grammar, Tokenizer tokenizer, string text)
    {
        var (state, credit) = (grammar.Start, grammar.Limits.MaxCredit);
        try
        {
            foreach (var id in tokenizer.Encode(text, false))
            {
                var mask = grammar.Mask(ref state, ref credit);
                if ((mask[id / 32] >> (id % 32) & 1) == 0)
                    return $"token {id} is masked in {text}";
                credit = Math.Min(credit + grammar.Limits.WorkPerToken, grammar.Limits.MaxCredit);
                state = grammar.Next(state, id, ref credit);
            }

            return state.IsAccepting ? null : $"{text} is no whole text";
        }
        catch (GrammarException failure)
        {
            return failure.Message;
        }
    }
}
