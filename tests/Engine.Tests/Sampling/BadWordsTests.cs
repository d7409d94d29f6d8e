using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class BadWordsTests
{
    private static readonly Dictionary<string, int[]> Vocabulary = new()
    {
        ["cat"] = [5], [" cat"] = [6],
        ["dog"] = [7, 8], [" dog"] = [9],
        ["owl"] = [7, 8], [" owl"] = [9, 8],
        ["same"] = [4, 1], [" same"] = [4, 2],
        ["gone"] = [3], [" gone"] = [],
        ["void"] = [], [" void"] = [3],
        ["out"] = [100], [" out"] = [3],
    };

    [Fact]
    public void A_word_is_banned_with_a_leading_space_too_where_that_starts_another_token_of_the_same_length()
    {
        Assert.Equal([[5], [6]], Tokenize("cat"));
        Assert.Equal([[5], [6]], Tokenize("  cat"));
        Assert.Equal([[7, 8]], Tokenize("dog"));
        Assert.Equal([[7, 8], [9, 8]], Tokenize("owl"));
        Assert.Equal([[4, 1]], Tokenize("same"));
        Assert.Equal([[3]], Tokenize("gone"));
        Assert.Equal([[5], [6], [7, 8]], Tokenize("cat", "cat", "dog"));
    }

    [Theory]
    [InlineData("")]
    [InlineData(null)]
    [InlineData("   ")]
    [InlineData("void")]
    [InlineData("out")]
    public void A_word_without_tokens_of_the_vocabulary_is_refused(string? word) =>
        Assert.Equal("bad_words", SamplingKit.Refused(() => Tokenize("cat", word!)).Parameter);

    [Fact]
    public void Words_are_bounded_before_they_are_tokenised()
    {
        var calls = 0;
        var context = SamplingKit.Context() with { Tokenize = (_, _) => { calls++; return [1]; } };
        SamplingKit.Refused(() => SamplingValidator.Validate(new SamplingParams { BadWords = [.. Enumerable.Range(0, 129).Select(i => $"w{i}")] }, context));
        SamplingKit.Refused(() => SamplingValidator.Validate(new SamplingParams { BadWords = [new string('a', 4097)] }, context));
        Assert.Equal(0, calls);
        SamplingValidator.Validate(new SamplingParams { BadWords = [.. Enumerable.Range(0, 128).Select(i => $"w{i}")] }, context);
        Assert.Equal(256, calls);
    }

    [Fact]
    public void Words_need_a_tokenizer() => Assert.Equal(
        "bad_words",
        SamplingKit.Refused(() => SamplingValidator.Validate(new SamplingParams { BadWords = ["cat"] }, SamplingKit.Context() with { Tokenize = null })).Parameter);

    [Fact]
    public void Special_tokens_are_not_added()
    {
        var context = SamplingKit.Context() with { Tokenize = (_, special) => special ? [1, 2] : [3] };
        Assert.Equal([[3]], SamplingValidator.Validate(new SamplingParams { BadWords = ["x"] }, context).BadWordsTokenIds);
    }

    private static int[][] Tokenize(params string[] words) =>
        SamplingValidator.Validate(new SamplingParams { BadWords = words }, SamplingKit.Context() with { Tokenize = (text, _) => Vocabulary[text] }).BadWordsTokenIds;
}
