using System.Text.Json;
using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Search;
using LocalLlm.Samples.Rag.Web;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Web;

public sealed class WireAnswerTests
{
    [Theory]
    [InlineData("It is now. It is. 😀 Yes.", "It is.", 11)]
    [InlineData("It is now. It is. 😀 Yes.", "😀 Yes.", 18)]
    [InlineData("It is now. It is.", "It is now. It is.", 0)]
    [InlineData("It is now.\n\n  It is.", "It is.", 14)]
    [InlineData("It is now.", "It is", null)]
    public void A_source_stands_where_its_own_sentence_does_and_not_where_its_words_come_first(string passage, string source, int? start)
    {
        var hit = new SearchHit(new Passage("d", 0, "", null, passage), new(0, 0, 0, 0), null);
        var (_, data) = WireAnswer.Of(new AnswerEvent.Found([hit], [new(1, hit, source)]));
        Assert.Equal(start, Assert.Single(Assert.Single((IReadOnlyList<WirePassage>)data).Sources).Start);
        // The page looks for the name 'start'.
        Assert.Contains("\"start\":", JsonSerializer.Serialize(data, JsonSerializerOptions.Web), StringComparison.Ordinal);
    }
}
