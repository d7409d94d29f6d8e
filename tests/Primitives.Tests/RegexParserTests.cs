using Xunit;

namespace LocalLlm.Primitives.Tests;

/// <summary>
/// One parser for two dialects: what each dialect means, and what it refuses by name. The tests of the code that runs the trees check what
/// they match.
/// </summary>
public sealed class RegexParserTests
{
    private const RegexDialect Oniguruma = RegexDialect.Oniguruma;
    private const RegexDialect EcmaScript = RegexDialect.EcmaScript;

    [Theory]
    [InlineData(Oniguruma, "²", false)]
    [InlineData(Oniguruma, "٣", true)]
    [InlineData(EcmaScript, "٣", false)]
    [InlineData(EcmaScript, "3", true)]
    public void Digits_are_unicodes_to_a_tokenizer_and_asciis_to_a_schema(RegexDialect dialect, string character, bool isDigit) =>
        Assert.Equal(isDigit, SetOf("\\d", dialect).Contains(char.ConvertToUtf32(character, 0)));

    [Theory]
    [InlineData(Oniguruma, RegexAnchor.LineStart)]
    [InlineData(EcmaScript, RegexAnchor.TextStart)]
    public void A_circumflex_is_a_lines_start_or_the_texts(RegexDialect dialect, RegexAnchor anchor) =>
        Assert.Equal(anchor, Assert.IsType<RegexNode.Anchor>(Only("^", dialect)).Kind);

    [Fact]
    public void A_plus_behind_a_quantifier_is_possessive_to_a_tokenizer_only()
    {
        Assert.IsType<RegexNode.Atomic>(Only("a*+", Oniguruma));
        Assert.Contains("possessive", Refusal("a*+", EcmaScript), StringComparison.Ordinal);
    }

    [Fact]
    public void A_quantifier_without_a_lower_bound_is_one_to_a_tokenizer_only()
    {
        var repeat = Assert.IsType<RegexNode.Repeat>(Only("a{,3}", Oniguruma));
        Assert.Equal((0, 3), (repeat.Min, repeat.Max));
        Assert.Contains("{0,…}", Refusal("a{,3}", EcmaScript), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Oniguruma, "a{99999x}")]
    [InlineData(Oniguruma, "a{,}")]
    [InlineData(EcmaScript, "a{x}")]
    public void A_brace_that_begins_no_quantifier_is_a_brace(RegexDialect dialect, string pattern) =>
        Assert.Equal(pattern.Length, Assert.IsType<RegexNode.Sequence>(RegexParser.Parse(pattern, dialect)).Parts.Count);

    [Theory]
    [InlineData(Oniguruma, "(?<=a)b", "at character 1, the group \"(?<=\" is not supported")]
    [InlineData(Oniguruma, "\\p{Han}", "the property \\p{Han} is not supported")]
    [InlineData(Oniguruma, "[[:alpha:]]", "the bracket expression \"[:\" is not supported")]
    [InlineData(Oniguruma, "\\K", "\\K is not possible")]
    [InlineData(Oniguruma, "^*", "a quantifier after a position")]
    [InlineData(EcmaScript, "(?=a)b", "look-around")]
    [InlineData(EcmaScript, "\\p{L}", "\\p is not possible")]
    [InlineData(EcmaScript, "[^\\s\\S]", "a class allows nothing")]
    [InlineData(EcmaScript, "\\uD800", "'D800' names no character")]
    [InlineData(Oniguruma, "😀(a", "at character 3, ')' is missing")]
    [InlineData(EcmaScript, "😀(a", "at character 3, ')' is missing")]
    [InlineData(Oniguruma, "a{1001}", "more than 1000 repetitions")]
    [InlineData(EcmaScript, "a{10001}", "more than 10000 repetitions")]
    public void What_a_dialect_does_not_have_is_refused_by_name(RegexDialect dialect, string pattern, string reason) =>
        Assert.Contains(reason, Refusal(pattern, dialect), StringComparison.Ordinal);

    [Theory]
    [InlineData(Oniguruma)]
    [InlineData(EcmaScript)]
    public void Nesting_is_bounded(RegexDialect dialect) =>
        Assert.Contains("nested deeper", Refusal(new string('(', 10_000) + new string(')', 10_000), dialect), StringComparison.Ordinal);

    [Theory]
    [InlineData("[^\\r\\n\\p{L}\\p{N}]")]
    [InlineData("[\\p{L}&&[^a-z]]")]
    [InlineData("(?i:[k-s])")]
    [InlineData("\\W")]
    public void The_ranges_of_a_set_hold_exactly_its_members(string pattern)
    {
        var set = SetOf(pattern, Oniguruma);
        var ranges = CodePointSet.Of(set.Ranges);
        for (var codePoint = 0; codePoint <= CodePoints.Last; codePoint++)
        {
            if (set.Contains(codePoint) != ranges.Contains(codePoint))
                Assert.Fail($"U+{codePoint:X4}");
        }
    }

    [Theory]
    [InlineData(Oniguruma)]
    [InlineData(EcmaScript)]
    public void Damaged_patterns_are_parsed_or_refused_and_nothing_else(RegexDialect dialect)
    {
        const string Alphabet = "ab()[]{}|*+?^$\\-,.:=!<>pdwsDWSxu0129L&😀i";
        var runes = Alphabet.EnumerateRunes().ToArray();
        var random = new Random(4);
        for (var i = 0; i < 50_000; i++)
        {
            var pattern = string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => runes[random.Next(runes.Length)].ToString()));
            try
            {
                RegexParser.Parse(pattern, dialect);
            }
            catch (RegexSyntaxException refusal)
            {
                Assert.NotEmpty(refusal.Message);
            }
        }
    }

    private static string Refusal(string pattern, RegexDialect dialect) => Assert.Throws<RegexSyntaxException>(() => RegexParser.Parse(pattern, dialect)).Message;

    private static RegexNode Only(string pattern, RegexDialect dialect) => Assert.Single(Assert.IsType<RegexNode.Sequence>(RegexParser.Parse(pattern, dialect)).Parts);

    private static CodePointSet SetOf(string pattern, RegexDialect dialect)
    {
        var node = Only(pattern, dialect);
        while (node is RegexNode.Sequence { Parts: [var inner] })
            node = inner;
        return Assert.IsType<RegexNode.Set>(node).Members;
    }
}
