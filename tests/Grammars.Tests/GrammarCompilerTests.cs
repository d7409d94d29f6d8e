using LocalLlm.Tests;
using LocalLlm.Tokenizers;
using Xunit;

namespace LocalLlm.Grammars.Tests;

public class GrammarCompilerTests
{
    [Theory]
    [InlineData("[a-zA-Z ,.]{3,70}!", null)]
    [InlineData("( ?[a-z]{1,20}){2,4}", null)]
    [InlineData(null, """{"type":"string","minLength":2,"maxLength":90}""")]
    [InlineData(null, """{"type":"array","items":{"type":"string","maxLength":30},"minItems":1,"maxItems":4}""")]
    public void A_mask_allows_exactly_the_tokens_that_can_follow_also_near_the_end_of_a_repetition(string? regex, string? schema)
    {
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        var trie = new TokenTrie(tokenizer.VocabularySize, id => tokenizer.IsAdded(id) ? [] : tokenizer.IdToBytes(id).ToArray());
        var grammar = new GrammarCompiler().Compile(regex is null ? new GrammarSource.JsonSchema(schema!) : new GrammarSource.Regex(regex), trie);
        var random = new Random(5);
        for (var walk = 0; walk < 4; walk++)
        {
            var (state, credit) = (grammar.Start, long.MaxValue);
            for (var step = 0; step < 60 && state != GrammarState.Dead; step++)
            {
                var mask = grammar.Mask(ref state, ref credit).ToArray();
                var allowed = new List<int>();
                for (var id = 0; id < tokenizer.VocabularySize; id++)
                {
                    var isAllowed = grammar.Next(state, id) != GrammarState.Dead;
                    Assert.Equal(isAllowed, (mask[id / 32] >> (id % 32) & 1) != 0);
                    if (isAllowed)
                        allowed.Add(id);
                }

                state = allowed.Count == 0 ? GrammarState.Dead : grammar.Next(state, allowed[random.Next(allowed.Count)]);
            }
        }
    }

    [Fact]
    public void The_same_structure_is_compiled_once()
    {
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        var trie = new TokenTrie(tokenizer.VocabularySize, id => tokenizer.IsAdded(id) ? [] : tokenizer.IdToBytes(id).ToArray());
        var compiler = new GrammarCompiler();
        Assert.Same(compiler.CompileRegex("a+", trie), compiler.CompileRegex("a+", trie));
        Assert.NotSame(compiler.CompileRegex("a+", trie), compiler.Compile(new GrammarSource.Choice(["a+"]), trie));
        Assert.NotSame(compiler.CompileRegex("a+", trie), compiler.CompileRegex("a+", new TokenTrie(1, _ => "a"u8.ToArray())));
    }
}
