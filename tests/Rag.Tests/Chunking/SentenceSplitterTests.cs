using LocalLlm.Samples.Rag.Chunking;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Chunking;

public sealed class SentenceSplitterTests
{
    [Theory]
    [InlineData("It is red. It is heavy! Is it? Yes.", "It is red.|It is heavy!|Is it?|Yes.")]
    [InlineData("Dr. Smith met J. Doe, e.g. at 3.5 km. Then he left.", "Dr. Smith met J. Doe, e.g. at 3.5 km.|Then he left.")]
    [InlineData("He said \"Stop.\" She did (really!). End", "He said \"Stop.\"|She did (really!).|End")]
    [InlineData("It costs approx. 5 dollars, see v1.2.3 of www.example.com. Done.", "It costs approx. 5 dollars, see v1.2.3 of www.example.com.|Done.")]
    [InlineData("压力是412巴。重量是96公斤！真的吗？是的。", "压力是412巴。|重量是96公斤！|真的吗？|是的。")]
    [InlineData("他说：“停。”然后走了。", "他说：“停。”|然后走了。")]
    [InlineData("A title\n\nIts text goes\non here. And ends.", "A title|Its text goes\non here.|And ends.")]
    [InlineData("no end at all", "no end at all")]
    [InlineData("The weight is 12 kg. [1] The color is red [2]. It is new.[3][4] Done.", "The weight is 12 kg. [1]|The color is red [2].|It is new.[3][4]|Done.")]
    [InlineData("See [the map] here. [Draft] It goes on.", "See [the map] here.|[Draft] It goes on.")]
    [InlineData("Wait... what? Well…  ok.", "Wait... what?|Well…  ok.")]
    public void Sentences_end_where_a_reader_ends_them(string text, string wanted) =>
        Assert.Equal(wanted.Split('|'), SentenceSplitter.Split(text).Select(range => text[range].Trim()));

    [Fact]
    public void Ranges_cover_any_text_without_a_gap()
    {
        var random = new Random(7);
        for (var round = 0; round < 2000; round++)
        {
            var text = RandomText.Of(random, random.Next(60));
            var at = 0;
            foreach (var range in SentenceSplitter.Split(text))
            {
                Assert.Equal(at, range.Start.Value);
                Assert.True(range.End.Value > at);
                at = range.End.Value;
            }

            Assert.Equal(text.Length, at);
        }
    }
}
