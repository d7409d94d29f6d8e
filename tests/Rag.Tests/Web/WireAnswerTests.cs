using System.Text.Json;
using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Documents;
using LocalLlm.Samples.Rag.Search;
using LocalLlm.Samples.Rag.Web;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Web;

public sealed class WireAnswerTests
{
    [Theory]
    [InlineData("It is now. It is. 😀 Yes.", 11, "It is.", 11)]
    [InlineData("It is now. It is. 😀 Yes.", 18, "😀 Yes.", 18)]
    [InlineData("It is now.\n\n  It is.", 12, "It is.", 14)]
    public void A_source_stands_where_its_own_sentence_does_and_not_where_its_words_come_first(string passage, int from, string source, int start)
    {
        var hit = Hit(passage, null);
        var (_, data) = WireAnswer.Of(new AnswerEvent.Found([hit], [new(1, PassagePart.Of(hit, from..(from + passage[from..].TrimStart().IndexOf(source, StringComparison.Ordinal) + source.Length + (start - from))))]));
        var sent = Assert.Single(Assert.Single((IReadOnlyList<WirePassage>)data).Sources);
        Assert.Equal((source, start), (sent.Text, sent.Start));
        // The page looks for the name 'start'.
        Assert.Contains("\"start\":", JsonSerializer.Serialize(data, JsonSerializerOptions.Web), StringComparison.Ordinal);
    }

    [Fact]
    public void A_source_is_reported_with_the_page_of_its_sentence_and_its_passage_with_all_of_its_pages()
    {
        var hit = Hit("One. Two. Three.", PlaceMap.Of(PlaceUnit.Page, [new(0, 1), new(7, 2)]));
        var (_, data) = WireAnswer.Of(new AnswerEvent.Found([hit], [new(1, PassagePart.Of(hit, 0..5)), new(2, PassagePart.Of(hit, 5..10)), new(3, PassagePart.Of(hit, 10..16))]));
        var passage = Assert.Single((IReadOnlyList<WirePassage>)data);
        Assert.Equal("d · pages 1–2", passage.Place);
        Assert.Equal(["d · page 1", "d · pages 1–2", "d · page 2"], passage.Sources.Select(source => source.Place));
    }

    private static SearchHit Hit(string text, PlaceMap? places) => new(new Passage("d", 0, "", places, text), new(0, 0, 0, 0), null);
}
