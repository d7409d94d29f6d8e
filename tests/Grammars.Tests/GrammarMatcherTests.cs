using System.Text;
using Xunit;

namespace LocalLlm.Grammars.Tests;

public sealed class GrammarMatcherTests
{
    private const int Stop = 256;
    private const int Think = 257;

    // One token per byte, and two tokens without text.
    private static readonly TokenTrie Vocabulary = new(258, id => id < Stop ? [(byte)id] : []);
    private static readonly CompiledGrammar Grammar = new GrammarCompiler().CompileRegex("ab?", Vocabulary);

    [Fact]
    public void The_bitmask_has_exactly_the_tokens_that_may_come_next()
    {
        var matcher = new GrammarMatcher(Grammar, [Stop]);
        Assert.Equal(['a'], Allowed(matcher));
        Assert.True(matcher.TryAccept('a'));
        Assert.Equal(['b', Stop], Allowed(matcher));
        Assert.True(matcher.TryAccept('b'));
        Assert.Equal([Stop], Allowed(matcher));
        Assert.True(matcher.IsAccepting);
        Assert.True(matcher.TryAccept(Stop));
    }

    [Fact]
    public void A_token_that_is_not_allowed_leaves_the_grammar_and_only_the_end_may_follow()
    {
        var matcher = new GrammarMatcher(Grammar, [Stop]);
        Assert.False(matcher.TryAccept('b'));
        Assert.False(matcher.IsAccepting);
        Assert.Equal([Stop], Allowed(matcher));
    }

    [Fact]
    public void A_stop_token_within_a_text_is_not_accepted() => Assert.False(new GrammarMatcher(Grammar, [Stop]).TryAccept(Stop));

    [Fact]
    public void Tokens_that_the_caller_allows_are_allowed_beside_the_grammars() =>
        Assert.Equal(['a', Think], Allowed(new GrammarMatcher(Grammar, [Stop]), Think));

    [Fact]
    public void After_a_thought_up_to_two_line_feeds_may_come_first()
    {
        foreach (var (text, isWhole) in (ReadOnlySpan<(string, bool)>)[("a", true), ("\nab", true), ("\n\na", true), ("\n\n\na", false)])
        {
            var matcher = new GrammarMatcher(Grammar, [Stop]);
            matcher.RestartAfterThought();
            Assert.Equal(isWhole, Encoding.UTF8.GetBytes(text).All(value => matcher.TryAccept(value)) && matcher.IsAccepting);
        }
    }

    [Fact]
    public void Where_no_token_can_continue_the_matcher_says_so()
    {
        var matcher = new GrammarMatcher(new GrammarCompiler().CompileRegex("a\u00e9", new TokenTrie(1, _ => "a"u8.ToArray())), []);
        Assert.True(matcher.TryAccept(0));
        Assert.Empty(Allowed(matcher));
        Assert.Equal("no token of the vocabulary continues the text", matcher.Failure);
    }

    [Fact]
    public void A_bitmask_of_another_length_is_refused() =>
        Assert.Throws<ArgumentException>(() => new GrammarMatcher(Grammar, []).FillNextTokenBitmask(new uint[1]));

    private static int[] Allowed(GrammarMatcher matcher, params int[] alsoAllowed)
    {
        var mask = new uint[matcher.Grammar.MaskWords];
        matcher.FillNextTokenBitmask(mask, alsoAllowed);
        return [.. Enumerable.Range(0, mask.Length * 32).Where(id => (mask[id / 32] >> (id % 32) & 1) != 0)];
    }
}
