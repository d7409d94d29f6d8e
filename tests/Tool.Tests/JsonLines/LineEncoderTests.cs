using System.Text;
using LocalLlm.Tool.JsonLines;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.JsonLines;

public class LineEncoderTests
{
    [Theory]
    [InlineData("plain <b>&'+`</b>")]
    [InlineData("你好 😀 𝒳 e\u0301 \u200B\uFEFF\uFFFE")]
    public void Text_is_written_as_it_is(string text) => Assert.Equal($$"""{"text":"{{text}}"}""" + "\n", Write(text));

    [Theory]
    [InlineData("a\nb\r\t\b\f\"\\", "a\\nb\\r\\t\\b\\f\\\"\\\\")]
    [InlineData("\0\u001b\u007f", "\\u0000\\u001b\\u007f")]
    [InlineData("\u0085\u2028\u2029", "\\u0085\\u2028\\u2029")]
    public void What_json_or_a_line_reader_needs_escaped_is_escaped(string text, string escaped) => Assert.Equal($$"""{"text":"{{escaped}}"}""" + "\n", Write(text));

    // Not a theory: attributes store texts in UTF-8, which cannot hold half of a surrogate pair.
    [Fact]
    public void Half_of_a_surrogate_pair_becomes_the_replacement_character()
    {
        foreach (var (text, written) in new[] { ("a\ud800b", "a\uFFFDb"), ("\udc00", "\uFFFD"), ("x\ud83d", "x\uFFFD"), ("\ud83d\ud83d\ude00", "\uFFFD😀") })
            Assert.Equal($$"""{"text":"{{written}}"}""" + "\n", Write(text));
    }

    [Fact]
    public void Any_text_comes_back()
    {
        var random = new Random(3);
        for (var round = 0; round < 300; round++)
        {
            var text = new StringBuilder();
            for (var i = random.Next(60); i > 0; i--)
            {
                var value = random.Next(4) == 0 ? random.Next(0x110000) : random.Next(0x300);
                if (Rune.IsValid(value))
                    text.Append(new Rune(value).ToString());
            }

            var line = Write(text.ToString());
            Assert.Equal(1, line.AsSpan().Count('\n'));
            Assert.Equal(text.ToString(), JsonTest.Parse(line).Text("text"));
        }
    }

    private static string Write(string text) => Encoding.UTF8.GetString(LineResult.Object(writer => writer.WriteString("text", text)).Utf8.Span);
}
