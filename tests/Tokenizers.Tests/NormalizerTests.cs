using System.Text;
using System.Text.Json;
using LocalLlm.Primitives;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class NormalizerTests
{
    [Theory]
    [InlineData("""{"type":"NFC"}""", "e\u0301\uFFFEe\u0301 \u212B", "é\uFFFEé Å")]
    [InlineData("""{"type":"NFD"}""", "é가", "e\u0301\u1100\u1161")]
    [InlineData("""{"type":"NFKC"}""", "ﬁ①Ａe\u0301", "fi1Aé")]
    [InlineData("""{"type":"NFKD"}""", "½é", "1\u20442e\u0301")]
    [InlineData("""{"type":"Prepend","prepend":"▁"}""", "a", "▁a")]
    [InlineData("""{"type":"Prepend","prepend":"▁"}""", "", "")]
    [InlineData("""{"type":"Replace","pattern":{"String":" "},"content":"▁"}""", " a  b", "▁a▁▁b")]
    [InlineData("""{"type":"Replace","pattern":{"String":""},"content":"x"}""", "ab", "ab")]
    [InlineData("""{"type":"Replace","pattern":{"Regex":" {2,}"},"content":"▁"}""", "a   b c", "a▁b c")]
    [InlineData("""{"type":"Lowercase"}""", "AİΣ𐐀", "ai\u0307σ𐐨")]
    [InlineData("""{"type":"Strip","strip_left":true,"strip_right":false}""", "\u3000 a ", "a ")]
    [InlineData("""{"type":"Strip","strip_left":false,"strip_right":true}""", " a \u0085", " a")]
    [InlineData("""{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Lowercase"}]}""", "ÉÅ", "ea")]
    public void Each_normalizer_does_what_the_reference_does(string json, string text, string expected) =>
        Assert.Equal(expected, Read(json)!.Normalize(text));

    [Theory]
    [InlineData("null")]
    [InlineData("""{"type":"Sequence","normalizers":[]}""")]
    public void No_normalizer_is_none(string json) => Assert.Null(Read(json));

    [Theory]
    [InlineData("""{"type":"Nmt"}""", "normalizer.type is \"Nmt\"")]
    [InlineData("""{"type":3}""", "normalizer.type")]
    [InlineData("""{}""", "normalizer.type")]
    [InlineData("3", "normalizer")]
    [InlineData("""{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Odd"}]}""", "normalizer.normalizers[1].type")]
    [InlineData("""{"type":"Replace","pattern":{"Regex":"(?<=a)b"},"content":"▁"}""", "normalizer.pattern.Regex")]
    public void Unsupported_settings_are_refused_by_name(string json, string named)
    {
        var error = Assert.Throws<UntrustedFileException>(() => Read(json));
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Long_runs_of_marks_are_ordered_as_the_platform_orders_them()
    {
        var random = new Random(4);
        int[] marks = [0x300, 0x301, 0x323, 0x327, 0x334, 0x345, 0x344, 0x340, 0x5B0, 0x64B, 0x670, 0xF71, 0xF72, 0x302E, 0x3099, 0x1D165, 0x1D16D, 0x20D0, 0x93C, 0x903];
        for (var round = 0; round < 30 * TokenizerFolders.FuzzFactor; round++)
        {
            var text = new StringBuilder("a");
            for (var i = 0; i < 700; i++)
                text.Append(new Rune(marks[random.Next(marks.Length)]).ToString());
            text.Append('b').Append("\u0301\u0323").Append('가');
            var ordered = CombiningMarks.OrderLongRuns(text.ToString());
            foreach (var form in new[] { NormalizationForm.FormC, NormalizationForm.FormD, NormalizationForm.FormKC })
                Assert.Equal(text.ToString().Normalize(form), ordered.Normalize(form));
        }
    }

    [Fact]
    public void A_long_run_of_marks_takes_no_quadratic_time()
    {
        var text = string.Concat(Enumerable.Repeat("\u0301\u0323", 1 << 18));
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var normalized = Read("""{"type":"NFC"}""")!.Normalize(text);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), $"{watch.Elapsed}");
        Assert.Equal(text.Length, normalized.Length);
        Assert.Equal('\u0323', normalized[0]);
    }

    private static Normalizer? Read(string json) =>
        NormalizerReader.Read(new JsonField("tokenizer.json", "normalizer", JsonDocument.Parse(json).RootElement));
}
