using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Ingest;
using LocalLlm.Samples.Rag.Questions;
using LocalLlm.Samples.Rag.Search;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Questions;

public sealed class QuestionTests(ShippedRag rag)
{
    private const string Passage = "The range of the Orion server is 129 km. 压力是412巴。";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("What is the range?", "129 km", null)]
    [InlineData("What is the range?", "the Range of the ORION server is 129 km", null)]
    [InlineData("压力是多少？", "412巴", null)]
    [InlineData("What is the range?", "29 km", QuestionChecks.NotInPassage)]
    [InlineData("What is the range?", "130 km", QuestionChecks.NotInPassage)]
    [InlineData("What is the range?", " .", QuestionChecks.NotInPassage)]
    [InlineData("The range.", "129 km", QuestionChecks.NoQuestion)]
    [InlineData("??", "129 km", QuestionChecks.NoQuestion)]
    [InlineData("Is the range 129 km?", "129 km", QuestionChecks.SaysNothingNew)]
    [InlineData("What was ASKED before?", "129 km", QuestionChecks.Twice)]
    public void A_pair_is_kept_only_if_its_answer_is_the_passages(string question, string answer, string? fault) =>
        Assert.Equal(fault, QuestionChecks.FaultOf(new(question, answer), Passage, new HashSet<string> { "what was asked before" }));

    [Fact]
    public void Words_to_choose_come_from_before_the_verb() => Assert.Equal(
        ["What is the range of Vega?", "What is range of Vega?", "What is of Vega?"],
        ChosenQuestions.Choices("The range of Vega is 5 km."));

    [Theory]
    [InlineData("Stop!")]
    [InlineData("It is red.")]
    [InlineData("压力是412巴。")]
    public void A_sentence_that_gives_no_words_gets_no_question(string sentence) => Assert.Empty(ChosenQuestions.Choices(sentence));

    [Theory]
    [InlineData("{\"pairs\": [{\"question\": \"Q?\", \"answer\": \"A\"}, {\"question\": null, \"answer\": \"B\"}]}", 1)]
    [InlineData("{\"pairs\": [{\"question\": \"Q?\", \"ans", 0)]
    [InlineData("{}", 0)]
    [InlineData("", 0)]
    public void Pairs_of_a_broken_answer_are_left_out(string json, int count) => Assert.Equal(count, WrittenQuestions.Read(json).Count);

    [Fact]
    public void The_shipped_documents_have_pairs_and_tell_what_was_dropped()
    {
        var ingested = rag.Report.Documents.Where(document => document.State == IngestState.Ingested).ToArray();
        Assert.True(rag.Report.Questions >= 40, $"{rag.Report.Questions} pairs");
        Assert.Equal(0, ingested.Single(document => document.Document == "south-hall.zh.md").Questions);
        Assert.Contains(QuestionChecks.NotInPassage, ingested.SelectMany(document => document.Dropped!.Keys));
    }

    [Fact]
    public async Task A_question_that_finds_another_passage_or_no_sentence_is_dropped()
    {
        Passage[] passages = [new("a", 0, "", null, "The power of the Ember server is 903 watts."), new("a", 1, "", null, "The color of the Vega printer is yellow.")];
        var vectors = await rag.Get<TextEmbedder>().EmbedAsync([.. passages.Select(passage => passage.Text)], Token);
        var writer = new Written(("903 watts", ["What is the power of the Ember server?", "What is the color of the Vega printer?"]), ("is yellow", ["What is the color of the Vega printer?", "Who bakes bread?"]));
        var made = await rag.With<QuestionMaker>(options => options.Search.SentenceThreshold = 0.2, writer).MakeAsync(passages, vectors, Token);
        Assert.Equal([["What is the power of the Ember server?"], []], made.Questions.Select(questions => questions.Select(question => question.Pair.Question)));
        Assert.Equal(3, made.Dropped.Values.Sum());
        Assert.Contains(QuestionChecks.FitsTooLittle, made.Dropped.Keys);
        Assert.Contains(QuestionChecks.Twice, made.Dropped.Keys);
    }

    [Fact]
    public async Task Freely_written_pairs_have_the_schemas_form_even_from_a_model_that_cannot_write()
    {
        var pairs = await rag.Get<WrittenQuestions>().WriteAsync(Passage, 2, Token);
        Assert.True(pairs.Count <= 2);
    }

    /// <summary>Returns given pairs as if a model had written them.</summary>
    private sealed class Written(params (string Answer, string[] Questions)[] pairs) : IQuestionWriter
    {
        public string ModelName => "written";

        public Task<IReadOnlyList<QuestionPair>> WriteAsync(string passage, int count, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<QuestionPair>>(
            [.. pairs.Where(pair => passage.Contains(pair.Answer, StringComparison.Ordinal)).SelectMany(pair => pair.Questions.Select(question => new QuestionPair(question, pair.Answer)))]);
    }
}
