using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Documents;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Chunking;

public sealed class ChunkerTests(ShippedRag rag)
{
    // Words are tokens.
    private static int Words(string text) => text.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries).Length;

    [Fact]
    public void Whole_sentences_fill_a_passage_and_the_last_are_said_again()
    {
        var passages = Split("One two three. Four five six. Seven eight nine. Ten.", maxTokens: 7, overlap: 3);
        Assert.Equal(["One two three. Four five six.", "Four five six. Seven eight nine. Ten."], passages.Select(passage => passage.Text));
    }

    [Fact]
    public void Without_overlap_nothing_is_said_twice() =>
        Assert.Equal(["One two three. Four five six.", "Seven eight nine. Ten."], Split("One two three. Four five six. Seven eight nine. Ten.", maxTokens: 7, overlap: 0).Select(passage => passage.Text));

    [Fact]
    public void A_passage_never_goes_beyond_its_heading()
    {
        var document = new SourceDocument("a.md", "", [new("A", null, "One."), new("A › B", PlaceMap.Of(PlaceUnit.Page, [new(0, 2), new(5, 3)]), "Two. Three.")]);
        var passages = new Chunker(Words, new() { MaxTokens = 50, OverlapTokens = 20 }).Split(document);
        Assert.Equal([("A", "One.", null), ("A › B", "Two. Three.", 2)], passages.Select(passage => (passage.Heading, passage.Text, passage.Places?.At(0, 4).First)));
        Assert.Equal([0, 1], passages.Select(passage => passage.Ordinal));
        Assert.Equal("A › B\nTwo. Three.", passages[1].TextToEmbed());
    }

    [Fact]
    public void A_heading_counts_and_one_that_takes_half_of_the_room_is_not_embedded()
    {
        var options = new ChunkingOptions { MaxTokens = 6, OverlapTokens = 0 };
        Assert.Equal(["One two three. Four.", "Five."], Ranges(options, "One two three. Four. Five.", "A heading"));
        var long_ = new Chunker(Words, options).Split(new("a.md", "", [new("A heading of five words", null, "One two.")]));
        Assert.Equal("One two.", long_[0].TextToEmbed());
        Assert.Equal("A heading of five words", long_[0].Heading);
    }

    [Fact]
    public void A_sentence_beyond_the_budget_is_cut_between_words_and_a_word_between_characters()
    {
        Assert.Equal(["one two three", "four five"], Split("one two three four five", maxTokens: 3, overlap: 0).Select(passage => passage.Text));
        var cut = new Chunker(text => text.Length, new() { MaxTokens = 4, OverlapTokens = 0, EmbedHeadings = false }).Split(new("a", "", [new("", null, "abc😀efghij")]));
        Assert.Equal(["abc", "😀ef", "ghij"], cut.Select(passage => passage.Text));
    }

    [Fact]
    public void No_text_is_lost_and_no_budget_exceeded_whatever_the_text()
    {
        var random = new Random(11);
        var tokens = rag.Get<TokenCounter>();
        for (var round = 0; round < 150; round++)
        {
            var text = RandomText.Of(random, random.Next(1, 120)).Trim();
            var options = new ChunkingOptions { MaxTokens = random.Next(16, 60), OverlapTokens = random.Next(0, 16) };
            var heading = random.Next(2) == 0 ? "" : "Some heading";
            var end = 0;
            foreach (var range in new Chunker(tokens.Count, options).Ranges(text, heading))
            {
                Assert.True(range.Start.Value <= end, "a gap between two passages");
                Assert.True(range.End.Value > end, "a passage without anything new");
                Assert.True(tokens.Count(Passage.TextToEmbed(heading, text[range].Trim())) <= options.MaxTokens, $"too many tokens: {text[range]}");
                end = range.End.Value;
            }

            Assert.Equal(text.Length, end);
        }
    }

    [Fact]
    public async Task Tokens_are_counted_as_the_engine_counts_them()
    {
        string[] texts = ["The power of the Ember server is 903 watts.", "Zenith泵的压力是412巴。", "<s> is text </s>", ""];
        var counted = await rag.Get<Rag.Search.TextEmbedder>().Engine.EmbedAsync(texts, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(counted.Select(embedding => embedding.TokenCount), texts.Select(rag.Get<TokenCounter>().Count));
    }

    private static IReadOnlyList<Passage> Split(string text, int maxTokens, int overlap) =>
        new Chunker(Words, new() { MaxTokens = maxTokens, OverlapTokens = overlap }).Split(new("a.txt", "", [new("", null, text)]));

    private static IEnumerable<string> Ranges(ChunkingOptions options, string text, string heading) => new Chunker(Words, options).Ranges(text, heading).Select(range => text[range].Trim());
}
