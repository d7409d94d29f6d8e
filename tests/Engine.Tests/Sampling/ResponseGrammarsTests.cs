using System.Text.Json;
using LocalLlm.Grammars;
using LocalLlm.Parsing;
using LocalLlm.Sampling;
using LocalLlm.Tokenizers;
using Xunit;

namespace LocalLlm.Tests.Sampling;

/// <summary>Every grammar that the engine creates can be created again from its source, as another process would.</summary>
public sealed class ResponseGrammarsTests
{
    private const int Steps = 40;
    private static readonly Tokenizer Vocabulary = Tokenizer.Load(TestPaths.TinyR1);
    private static readonly int Eos = Vocabulary.EosTokenId!.Value;
    private static readonly StructuredOutputs?[] Structures =
    [
        null,
        new() { JsonObject = true },
        new() { Json = JsonSerializer.SerializeToElement(new { type = "object", properties = new { a = new { type = "integer" } } }) },
        new() { Json = JsonSerializer.Deserialize<JsonElement>("""{"type":"object","properties":{"$type":{"const":"x"},"b":{}},"required":["$type"]}"""), TypeFirst = true },
        new() { Regex = "[a-z ]{3,9}!" },
        new() { Choice = ["yes", "no"] },
        new() { Grammar = "root ::= \"a\" (\"b\" root)?" },
    ];

    public static TheoryData<string, int, string, bool> All()
    {
        var all = new TheoryData<string, int, string, bool>();
        for (var structure = 0; structure < Structures.Length; structure++)
        {
            if (Structures[structure] is not null)
                all.Add("none", structure, "auto", false);
            foreach (var format in (string[])["deepseek_v3", "deepseek_v31", "hermes", "llama3_json"])
            {
                foreach (var choice in (string[])["auto", "required", "f"])
                    all.Add(format, structure, choice, structure % 2 == 0);
            }
        }

        return all;
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_grammar_made_from_the_json_of_its_source_has_the_same_masks(string format, int structure, string choice, bool isStrict)
    {
        var grammar = Create().Compile(Structures[structure], format == "none" ? null : Tools(format, choice, isStrict));
        var again = Create().Compile(GrammarSource.FromJson(grammar.Source.ToJson()));
        foreach (var isAfterThought in (bool[])[false, true])
        {
            var (first, second) = (Matcher(grammar, isAfterThought), Matcher(again, isAfterThought));
            var (mask, other) = (new uint[grammar.MaskWords], new uint[again.MaskWords]);
            var random = new Random(structure);
            for (var step = 0; step < Steps; step++)
            {
                first.FillNextTokenBitmask(mask);
                second.FillNextTokenBitmask(other);
                Assert.Equal(mask, other);
                var allowed = Enumerable.Range(0, mask.Length * 32).Where(id => (mask[id / 32] >> (id % 32) & 1) != 0 && id != Eos).ToArray();
                if (allowed.Length == 0)
                    break;
                var token = allowed[random.Next(allowed.Length)];
                Assert.True(first.TryAccept(token));
                Assert.True(second.TryAccept(token));
            }
        }
    }

    [Fact]
    public void Marks_of_calls_are_tokens_of_grammars_with_tools_only()
    {
        var begin = Vocabulary.TokenToId("<｜tool▁calls▁begin｜>")!.Value;
        Assert.True(Allows(Create().Compile(null, Tools("deepseek_v3", "required", isStrict: false)), begin));
        Assert.False(Allows(Create().Compile(new() { Regex = ".*" }, null), begin));
    }

    private static bool Allows(CompiledGrammar grammar, int token)
    {
        var mask = new uint[grammar.MaskWords];
        Matcher(grammar, isAfterThought: false).FillNextTokenBitmask(mask);
        return (mask[token / 32] >> (token % 32) & 1) != 0;
    }

    private static GrammarMatcher Matcher(CompiledGrammar grammar, bool isAfterThought)
    {
        var matcher = new GrammarMatcher(grammar, [Eos]);
        if (isAfterThought)
            matcher.RestartAfterThought();
        return matcher;
    }

    private static ResponseGrammars Create() => new(new(() => Trie(_ => false)), new(() => Trie(ToolCallMarks.Tokens.Contains)));

    private static TokenTrie Trie(Func<string, bool> isText) =>
        new(Vocabulary.VocabularySize, id => Vocabulary.IsAdded(id) && !isText(Vocabulary.Decode([id])) ? [] : Vocabulary.IdToBytes(id).ToArray());

    // A schema that cannot be enforced is ignored only where the request does not ask for calls that follow it.
    private static ToolCallStructure Tools(string format, string choice, bool isStrict) => new(
        ToolCallFormats.Find(format)!.Value,
        JsonSerializer.SerializeToElement(((object[])
        [
            new { type = "function", function = new { name = "f", strict = isStrict, parameters = new { properties = new { a = new { type = "integer" } }, required = (string[])["a"] } } },
            new { type = "function", function = new { name = "g" } },
            new { type = "function", function = new { name = "h", parameters = new { type = "object", properties = new { x = new { type = "string", pattern = "(?=a)" } } } } },
        ]).Take(choice == "required" ? 2 : 3)),
        choice switch { "auto" => ToolChoice.Auto, "required" => ToolChoice.Required, _ => ToolChoice.Function(choice) });
}
