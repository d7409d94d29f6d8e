using System.Text.RegularExpressions;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class PatternTests
{
    private const string Gpt4 =
        @"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s*[\r\n]|\s+(?!\S)|\s+";

    private const string Gpt4o =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    [Theory]
    [InlineData(KnownPatterns.Qwen2)]
    [InlineData(KnownPatterns.Llama3)]
    [InlineData(KnownPatterns.Gpt2)]
    [InlineData(KnownPatterns.DeepSeekDigits)]
    [InlineData(KnownPatterns.DeepSeekIdeographs)]
    [InlineData(KnownPatterns.DeepSeekWords)]
    public void A_scanner_finds_what_its_expression_finds(string expression)
    {
        var scanner = KnownPatterns.Find(expression);
        Assert.NotNull(scanner);
        var general = new RegexPattern(expression);
        var random = new Random(1);
        for (var i = 0; i < 3000 * TokenizerFolders.FuzzFactor; i++)
        {
            var text = RandomText.Next(random);
            Assert.Equal(Matches(general, text), Matches(scanner, text));
        }
    }

    [Theory]
    [InlineData(KnownPatterns.Qwen2)]
    [InlineData(KnownPatterns.Llama3)]
    [InlineData(KnownPatterns.DeepSeekWords)]
    [InlineData(Gpt4o)]
    [InlineData("a|ab|(?:abc)+?|[b-d]{2,3}c?|(?=d)d|x*")]
    [InlineData(@"(?>a+b?)a|(a|b)*c|\s*?\S{2}(?!\S)|")]
    public void The_matcher_finds_what_the_platforms_regular_expressions_find(string expression)
    {
        // Compares only where both mean the same: the basic plane, without letters whose other case is in another alphabet.
        var platform = new Regex(expression, RegexOptions.CultureInvariant);
        var ours = new RegexPattern(expression);
        var random = new Random(2);
        for (var i = 0; i < 2000 * TokenizerFolders.FuzzFactor; i++)
        {
            var text = string.Concat(RandomText.Next(random, ["a", "b", "c", "d", "ab", "abc", "  ", "x", "Ab", "'s"])
                .Where(c => !char.IsSurrogate(c) && c is not ('\u017F' or '\u212A' or '\u0130' or '\u0131')));
            Assert.Equal(
                platform.Matches(text).Select(match => new TextRange(match.Index, match.Length)).Where(range => range.Length > 0),
                Matches(ours, text).Where(range => range.Length > 0));
        }
    }

    [Fact]
    public void The_patterns_of_other_families_work()
    {
        const string Text = "I'LL go  12345 ok\n\n";
        Assert.Equal(["I", "'LL", " go", " ", " ", "123", "45", " ok", "\n\n"], Pieces(Gpt4, Text));
        Assert.Equal(["I'LL", " go", " ", " ", "123", "45", " ok", "\n\n"], Pieces(Gpt4o, Text));
    }

    [Theory]
    [InlineData("a++ab", "aaab", "")]
    [InlineData("(?i:k)+", "kK\u212Aſ", "kK\u212A")]
    [InlineData(@"\p{L}+", "𝒳𠀀a1", "𝒳𠀀a")]
    [InlineData(@"[^a]", "😀", "😀")]
    [InlineData(@"\x{1F600}|\x41", "😀A", "😀|A")]
    [InlineData(@"^b$|\Ab\z", "b\nb", "b|b")]
    [InlineData(@"\bfoo\b", "foo foox foo", "foo|foo")]
    [InlineData(@"(?:a{0,2}){2}b", "aaaaab", "aaaab")]
    [InlineData(@"a{2}+", "aaaaa", "aaaa")]
    [InlineData(@"a{,2}", "aaa", "aa|a")]
    [InlineData(@"a{x", "a{x", "a{x")]
    [InlineData(@"[]a]+", "a]", "a]")]
    [InlineData(@"\p{^L}\P{N}", "1a", "1a")]
    [InlineData(@"(?:)*x", "x", "x")]
    [InlineData(@"(a*)*b", "aab", "aab")]
    public void Constructs_mean_what_they_mean_in_Oniguruma(string expression, string text, string expected)
    {
        Assert.Equal(expected, string.Join('|', Pieces(expression, text)));
    }

    [Theory]
    [InlineData(@"(?<=a)b")]
    [InlineData(@"(a)\1")]
    [InlineData(@"\p{Han}")]
    [InlineData(@"(?<name>a)")]
    [InlineData(@"[[:alpha:]]")]
    [InlineData(@"a{2}?")]
    [InlineData(@"a{99999}")]
    [InlineData("(a")]
    [InlineData("a)")]
    [InlineData("[a")]
    [InlineData("*a")]
    [InlineData(@"\")]
    [InlineData(@"\K")]
    [InlineData(@"[z-a]")]
    [InlineData(@"\x{110000}")]
    [InlineData("((((((((((a{100}){100}){100}){100})))))))")]
    public void Unsupported_syntax_is_refused(string expression) =>
        Assert.ThrowsAny<FormatException>(() => new RegexPattern(expression));

    [Fact]
    public void Nesting_is_bounded() =>
        Assert.ThrowsAny<FormatException>(() => new RegexPattern(new string('(', 100_000) + new string(')', 100_000)));

    [Theory]
    [InlineData(@"((a+)+)+$", 'a')]
    [InlineData(@"\s+$|\s*[\r\n]+", ' ')]
    [InlineData(@"(?:a|aa)+b", 'a')]
    [InlineData(Gpt4o, ' ')]
    public void Time_is_linear_in_the_text(string expression, char c)
    {
        var text = new string(c, 60_000) + "x";
        var matches = Matches(new RegexPattern(expression), text);
        Assert.True(matches.Count <= text.Length);
    }

    [Fact]
    public void A_pattern_that_costs_too_much_is_refused_at_the_text()
    {
        var error = Assert.Throws<TokenizerException>(() => Matches(new RegexPattern("(?=.*x)z"), new string('x', 20_000)));
        Assert.Equal(TokenizerErrorKind.File, error.Kind);
    }

    private static IEnumerable<string> Pieces(string expression, string text) =>
        Matches(new RegexPattern(expression), text).Select(range => text.Substring(range.Start, range.Length));

    private static List<TextRange> Matches(SplitPattern pattern, string text)
    {
        var matches = new List<TextRange>();
        pattern.FindAll(text, matches);
        return matches;
    }
}
