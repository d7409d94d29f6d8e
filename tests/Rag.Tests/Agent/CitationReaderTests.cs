using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Configuration;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Agent;

public sealed class CitationReaderTests
{
    private static readonly Source[] s_sources = [Source(1, "The color of the Ember server is blue."), Source(2, "The power of the Ember server is 903 watts. It is new.")];

    [Theory]
    [InlineData("It has 903 watts [2].", "It has 903 watts [2].", new[] { 2 })]
    [InlineData("Blue [1], and 903 watts [2][1].", "Blue [1], and 903 watts [2][1].", new[] { 1, 2 })]
    [InlineData("The power of the Ember server is 903 watts.", "The power of the Ember server is 903 watts. [2]", new[] { 2 })]
    [InlineData("The color of the ember server is blue. It is new.", "The color of the ember server is blue. It is new. [1] [2]", new[] { 1, 2 })]
    public void A_citation_is_what_the_model_wrote_or_what_a_source_says_word_for_word(string said, string wanted, int[] cited)
    {
        var answer = Read(said);
        Assert.Equal((wanted, AnswerState.Answered), (answer.Text, answer.State));
        Assert.Equal(cited, answer.Cited);
        Assert.Empty(answer.Notes);
    }

    [Theory]
    [InlineData("It has 903 watts [2] [3].", "It has 903 watts [2].", "[3]")]
    [InlineData("The color of the Ember server is blue. [0]", "The color of the Ember server is blue. [1]", "[0]")]
    [InlineData("It has 903 watts [2][999999999].", "It has 903 watts [2].", "[999999999]")]
    public void A_number_that_is_not_a_source_is_removed_and_reported(string said, string wanted, string number)
    {
        var answer = Read(said);
        Assert.Equal(wanted, answer.Text);
        Assert.Contains(number, Assert.Single(answer.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void Statements_without_a_source_are_reported_or_withheld()
    {
        const string Said = "The power of the Orion server is 903 watts.";
        var told = Read(Said);
        Assert.Equal((Said, AnswerState.Unsupported), (told.Text, told.State));
        Assert.Single(told.Notes);
        var withheld = Read(Said, options: new() { WithholdUnsupported = true });
        Assert.Equal(AnswerState.Unsupported, withheld.State);
        Assert.DoesNotContain("Orion", withheld.Text, StringComparison.Ordinal);
        Assert.Contains("Orion", Assert.Single(withheld.Notes), StringComparison.Ordinal);
        Assert.Equal(AnswerState.Unsupported, Read("").State);
    }

    [Theory]
    [InlineData("It is not true that the price of the Atlas router is 40 dollars.", "The price of the Atlas router is 40 dollars.")]
    [InlineData("If the price of the Atlas router is 40 dollars, buy it.", "The price of the Atlas router is 40 dollars.")]
    [InlineData("The temperature of the Ember pump is -25 degrees.", "The temperature of the Ember pump is 25 degrees.")]
    [InlineData("The weight of the Ember pump is 3.5 kg.", "The weight of the Ember pump is 5 kg.")]
    public void A_part_of_a_sentence_is_not_what_it_says(string source, string said)
    {
        var answer = Read(said, sources: [Source(1, source)]);
        Assert.Equal(AnswerState.Unsupported, answer.State);
        Assert.Empty(answer.Cited);
    }

    [Fact]
    public void Figures_that_the_cited_source_does_not_have_are_reported()
    {
        var answer = Read("The server is blue [1]. It has 5 watts [2].");
        Assert.Equal(AnswerState.Unsupported, answer.State);
        Assert.Contains("5", Assert.Single(answer.Notes), StringComparison.Ordinal);
        Assert.Equal(AnswerState.Answered, Read("It is blue [1] and has 903 watts [2].").State);
    }

    [Fact]
    public void Marks_of_a_document_are_no_numbers_of_sources()
    {
        Source[] sources = [Source(1, "The weight of the Sigma valve is 12 kg. [7]\n[9] It is new.")];
        Assert.Equal("[1] The weight of the Sigma valve is 12 kg. (7) (9) It is new.", Retrieval.Format(sources));
        Assert.Equal([1], Read("The weight of the Sigma valve is 12 kg.", sources: sources).Cited);
    }

    [Theory]
    [InlineData("The context does not say.")]
    [InlineData("the context does not say [1]")]
    public void Not_found_is_a_state_and_cites_nothing(string said)
    {
        var answer = Read(said);
        Assert.Equal(("The context does not say.", AnswerState.NotFound), (answer.Text, answer.State));
        Assert.Empty(answer.Cited);
    }

    [Fact]
    public void Of_sources_that_say_the_same_the_thought_chooses()
    {
        Source[] twice = [s_sources[0], Source(2, s_sources[0].Text)];
        var said = s_sources[0].Text;
        Assert.Equal([1, 2], Read(said, sources: twice).Cited);
        Assert.Equal([2], Read(said, $"[1] {said} No.\n[2] {said} Yes.", twice).Cited);
        Assert.Equal([1, 2], Read(said, "[7] Something else. Yes.", twice).Cited);
    }

    private static Answer Read(string said, string thought = "", Source[]? sources = null, AnswerOptions? options = null) => CitationReader.Read("Q?", said, thought, sources ?? s_sources, options ?? new());

    private static Source Source(int number, string text) => new(number, PassagePart.Whole(new(new("a.md", number, "", null, text), default, null)));
}
