using System.Text;
using LocalLlm.Tool.JsonLines;
using Xunit;

namespace LocalLlm.Tool.Tests.JsonLines;

public class JsonLinesReaderTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("\n\n \r\n", "")]
    [InlineData("a", "1:a")]
    [InlineData("a\nb\n", "1:a|2:b")]
    [InlineData("a\r\nb", "1:a\r|2:b")]
    [InlineData("\n\na\n \nb\n\n", "1:|2:|3:a|4: |5:b")]
    [InlineData("\uFEFFa\n\uFEFFb", "1:a|2:\uFEFFb")]
    public async Task Lines_keep_their_numbers_and_blank_ones_count_before_others(string text, string expected) =>
        Assert.Equal(expected, string.Join('|', (await ReadAsync(text)).Select(line => $"{line.Number}:{Encoding.UTF8.GetString(line.Utf8.Span)}")));

    [Fact]
    public async Task However_the_stream_is_cut_the_lines_are_the_same()
    {
        var random = new Random(7);
        for (var round = 0; round < 200; round++)
        {
            var text = string.Join('\n', Enumerable.Range(0, random.Next(1, 20)).Select(_ => new string('x', random.Next(1, 40)))) + (random.Next(2) == 0 ? "\n" : "");
            using var stream = new Dribble(Encoding.UTF8.GetBytes(text), random);
            var lines = await JsonLinesReader.ReadAsync(stream, maxLineBytes: 64, TestContext.Current.CancellationToken).ToListAsync(TestContext.Current.CancellationToken);
            Assert.Equal(text.TrimEnd('\n').Split('\n'), lines.Select(line => Encoding.UTF8.GetString(line.Utf8.Span)));
        }
    }

    [Fact]
    public async Task A_line_that_is_too_long_is_passed_over_and_harms_no_other()
    {
        var lines = await ReadAsync("a\n" + new string('x', 1000) + "\nb\n" + new string('y', 16) + "\n" + new string('z', 40), maxLineBytes: 16);
        Assert.Equal([null, "is longer than 16 bytes", null], lines.Take(3).Select(line => line.Problem));
        Assert.Equal("b", Encoding.UTF8.GetString(lines[2].Utf8.Span));
        Assert.Equal("is longer than 16 bytes", lines[^1].Problem);
        Assert.Equal(5, lines.Count);
    }

    private static async Task<List<JsonLine>> ReadAsync(string text, int maxLineBytes = JsonLinesReader.MaxLineBytes)
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(text));
        return await JsonLinesReader.ReadAsync(stream, maxLineBytes, TestContext.Current.CancellationToken).ToListAsync(TestContext.Current.CancellationToken);
    }

    // Returns a few bytes per read.
    private sealed class Dribble(byte[] bytes, Random random) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..Math.Min(buffer.Length, random.Next(1, 30))], cancellationToken);
    }
}
