using LocalLlm.Parsing;
using Xunit;

namespace LocalLlm.Tests.Parsing;

public class ReasoningParserTests
{
    [Theory]
    // The prompt opened the tag.
    [InlineData("<｜Assistant｜><think>\n", "2 + 2 = 4.\n</think>\n\n4", "Reasoning 2 + 2 = 4.\nText 4")]
    [InlineData("<think>", "a thought that is cut off\n", "Reasoning a thought that is cut off")]
    [InlineData("<think>\n", "\n</think>\n\nAt once.", "Text At once.")]
    [InlineData("<think>\n", "x < y, </thin and </think>done", "Reasoning x < y, </thin and \nText done")]
    // The response opens the tag, or no tag is opened at all.
    [InlineData("<｜Assistant｜>", "<think>\nhm\n\nhm\n</think>\n\n4", "Reasoning hm\n\nhm\nText 4")]
    [InlineData("<｜Assistant｜>", "  \n<think>hm</think>4", "Reasoning hm\nText 4")]
    [InlineData("<｜Assistant｜>", "Four. <think> is a tag.", "Text Four. <think> is a tag.")]
    [InlineData("<｜Assistant｜>", "\n Four", "Text \n Four")]
    [InlineData("<｜Assistant｜>", "<thin", "Text <thin")]
    [InlineData("<｜Assistant｜>", "<th<think>a</think>b", "Text <th<think>a</think>b")]
    // The prompt closed the tag: thinking is off.
    [InlineData("<｜Assistant｜></think>", "\nFour", "Text Four")]
    [InlineData("<think>\n\n</think>\n\n", "Four</think>", "Text Four</think>")]
    [InlineData("", "", "")]
    public void Thought_and_answer_are_told_apart_however_the_text_is_cut(string prompt, string answer, string expected)
    {
        for (var length = 1; length <= answer.Length + 1; length++)
            Assert.Equal(expected, ParsingKit.Show(ParsingKit.Parse(new ReasoningParser(prompt), answer, () => length)));
    }

    [Fact]
    public void Mutated_answers_lose_nothing_but_tags_and_the_white_space_beside_them()
    {
        var random = new Random(5);
        string[] parts = ["<think>", "</think>", "\n", "a", "<", "</th", " ", "b c", ">"];
        for (var i = 0; i < 5000; i++)
        {
            var prompt = random.Next(3) switch { 0 => "<think>\n", 1 => "</think>", _ => "" };
            var answer = string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => parts[random.Next(parts.Length)]));
            var pieces = ParsingKit.Whole(new ReasoningParser(prompt), answer);
            Assert.Equal(pieces, ParsingKit.Parse(new ReasoningParser(prompt), answer, () => random.Next(1, 6)));
            Assert.Equal(Bare(answer), Bare(string.Concat(pieces.Select(piece => piece.Value))));
        }

        static string Bare(string text) => text.Replace("<think>", "", StringComparison.Ordinal).Replace("</think>", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal).Replace(" ", "", StringComparison.Ordinal);
    }

    [Fact]
    public void What_comes_next_is_known_before_it_comes()
    {
        var parser = new ReasoningParser("<think>\n");
        var pieces = new List<ResponsePart>();
        Assert.True(parser.IsThinking);
        parser.Append("so</think>", pieces);
        Assert.False(parser.IsThinking);
    }
}
