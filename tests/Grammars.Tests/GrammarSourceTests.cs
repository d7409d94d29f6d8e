using System.Text;
using Xunit;

namespace LocalLlm.Grammars.Tests;

/// <summary>A grammar that is created again from its source, or from the source's JSON, allows the same texts.</summary>
public sealed class GrammarSourceTests
{
    private static readonly TokenTrie Bytes = new(256, id => [(byte)id]);

    public static TheoryData<GrammarSource, string, string> Sources => new()
    {
        { new GrammarSource.JsonObject(), "{\"a\": [1]}", "[1]" },
        { new GrammarSource.JsonSchema("""{"type":"object","properties":{"a":{"type":"integer"}}}"""), "{\"b\": 1}", "{\"a\": \"x\"}" },
        { new GrammarSource.JsonSchema("""{"type":"object","properties":{"a":{"type":"integer"}}}""") { IsClosed = true }, "{\"a\": 1}", "{\"b\": 1}" },
        { new GrammarSource.JsonSchema("""{"type":"object","properties":{"$type":{"const":"x"},"a":{"const":1}},"required":["$type","a"]}""") { TypeFirst = true }, "{\"$type\": \"x\", \"a\": 1}", "{\"a\": 1, \"$type\": \"x\"}" },
        { new GrammarSource.Regex("[a-z]{2}"), "ab", "abc" },
        { new GrammarSource.Choice(["yes", "nö"]), "nö", "n" },
        { new GrammarSource.Ebnf("root ::= \"a\" root?"), "aaa", "ab" },
        { new GrammarSource.Literal("a\n\"b\""), "a\n\"b\"", "a" },
        { new GrammarSource.Sequence([new GrammarSource.Literal("a"), new GrammarSource.Regex("b*")]), "abb", "b" },
        { new GrammarSource.AnyOf([new GrammarSource.Literal("a"), new GrammarSource.Literal("b")]), "b", "ab" },
        { new GrammarSource.SeparatedList(new GrammarSource.Regex("[0-9]"), ", "), "1, 2, 3", "1, " },
        { new GrammarSource.TextWithTags("<a>", new GrammarSource.Literal("x</a>")), "<b><<a>x</a> and <a>x</a>.", "<<a>y" },
        { new GrammarSource.TextOr(new GrammarSource.Literal("{}"), '{'), " \n{}", " {a}" },
        { new GrammarSource.TextOr(new GrammarSource.Literal("{}"), '{'), " \nany {text}", "{" },
        { new GrammarSource.Fallback(new GrammarSource.Regex("(?=a)"), new GrammarSource.Literal("b")), "b", "a" },
        { new GrammarSource.Named("a thing", new GrammarSource.Literal("b")), "b", "a" },
    };

    [Theory]
    [MemberData(nameof(Sources))]
    public void A_source_and_its_json_make_the_same_grammar(GrammarSource source, string allowed, string forbidden)
    {
        var json = source.ToJson();
        Assert.Equal(json, GrammarSource.FromJson(json).ToJson());
        foreach (var copy in (GrammarSource[])[source, GrammarSource.FromJson(json), (source with { WritesSpecialTokens = true })])
        {
            var grammar = new GrammarCompiler().Compile(copy, Bytes);
            Assert.Same(copy, grammar.Source);
            Assert.True(Accepts(grammar, allowed), allowed);
            Assert.False(Accepts(grammar, forbidden), forbidden);
        }
    }

    [Fact]
    public void The_special_tokens_of_a_source_survive_its_json()
    {
        var source = new GrammarSource.Literal("a") { WritesSpecialTokens = true };
        Assert.True(GrammarSource.FromJson(source.ToJson()).WritesSpecialTokens);
        Assert.NotEqual(new GrammarSource.Literal("a").ToJson(), source.ToJson());
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"kind":"lua"}""")]
    [InlineData("""{"kind":"regex"}""")]
    [InlineData("""{"kind":"regex","pattern":null}""")]
    [InlineData("""{"kind":"regex","pattern":"a","flags":"i"}""")]
    public void Json_that_is_no_source_is_refused(string json) => Assert.Throws<GrammarException>(() => GrammarSource.FromJson(json));

    public static TheoryData<GrammarSource, string> Malformed => new()
    {
        { new GrammarSource.Choice([]), "at least one text" },
        { new GrammarSource.AnyOf([]), "at least one alternative" },
        { new GrammarSource.TextWithTags("", new GrammarSource.Literal("a")), "is empty" },
        { new GrammarSource.TextOr(new GrammarSource.Literal("a"), ' '), "other than white space" },
        { new GrammarSource.JsonSchema("{"), "#: the schema cannot be read" },
        { new GrammarSource.Named("the parameters of 'f'", new GrammarSource.JsonSchema("false")), "the parameters of 'f': " },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public void A_source_that_means_nothing_is_refused_with_the_reason(GrammarSource source, string reason) =>
        Assert.Contains(reason, Assert.ThrowsAny<GrammarException>(() => new GrammarCompiler().Compile(source, Bytes)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_source_without_end_is_refused()
    {
        var source = Enumerable.Range(0, 10_000).Aggregate((GrammarSource)new GrammarSource.Literal("a"), (inner, _) => new GrammarSource.Sequence([inner]));
        Assert.Throws<GrammarException>(() => new GrammarCompiler().Compile(source, Bytes));
    }

    private static bool Accepts(CompiledGrammar grammar, string text)
    {
        var matcher = new GrammarMatcher(grammar, []);
        return Encoding.UTF8.GetBytes(text).All(value => matcher.TryAccept(value)) && matcher.IsAccepting;
    }
}
