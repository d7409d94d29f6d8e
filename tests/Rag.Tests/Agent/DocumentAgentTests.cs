using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Evaluation;
using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Agent;

/// <summary>The agent over the real tiny models and the shipped documents.</summary>
public sealed class DocumentAgentTests(ShippedRag rag)
{
    private const string Question = "What is the power of the Ember server?";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_question_is_answered_with_the_passage_that_says_so()
    {
        var events = await EventsAsync(rag.Get<DocumentAgent>(), Question);
        Assert.IsType<AnswerEvent.Found>(events[0]);
        var answer = Assert.IsType<AnswerEvent.Done>(events[^1]).Answer;
        Assert.Equal("The power of the Ember server is 903 watts. [1]", answer.Text);
        Assert.Equal(AnswerState.Answered, answer.State);
        Assert.Equal("The power of the Ember server is 903 watts.", answer.Sources[Assert.Single(answer.Cited) - 1].Text);
        Assert.Equal("north-hall.md", answer.Sources[0].Hit.Passage.Document);
        Assert.Equal("The power of the Ember server is 903 watts.", string.Concat(events.OfType<AnswerEvent.Text>().Select(text => text.Piece)).Trim());
        Assert.Contains("Yes.", answer.Thought, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_question_that_the_documents_do_not_answer_is_reported_as_such()
    {
        var answer = await AskAsync(rag.Get<DocumentAgent>(), "What is the speed of the Harbor server?");
        Assert.Equal(("The context does not say.", AnswerState.NotFound), (answer.Text, answer.State));
        Assert.NotEmpty(answer.Hits);
    }

    [Fact]
    public async Task Most_known_questions_are_answered_cited_and_refused_rightly()
    {
        var known = await AnswerCheck.ReadAsync(Path.Combine(TestPaths.Repository, "samples", "Rag", "questions.jsonl"), Token);
        // Asks only every fourth question, to save time; 'rag eval-answers' asks all of them.
        var answers = await AnswerCheck.RunAsync(rag.Get<DocumentAgent>(), [.. known.Where((_, index) => index % 4 == 0)], atOnce: 16, Token);
        var there = answers.Where(answer => answer.Known.Answer is not null).ToArray();
        Assert.True(there.Count(answer => answer.IsRight && answer.IsRightlyCited) >= 0.9 * there.Length, string.Join('\n', there.Where(answer => !answer.IsRight).Select(answer => answer.Known.Question)));
        Assert.All(answers.Where(answer => answer.Known.Answer is null), answer => Assert.True(answer.IsRight, answer.Known.Question));
    }

    [Fact]
    public async Task Names_that_the_model_has_not_learned_are_quoted_from_the_documents()
    {
        using var folder = new LocalLlm.Tests.Weights.TemporaryFolder();
        Directory.CreateDirectory(folder["docs"]);
        (string Name, string Property, string Value)[] facts = [("Falcon pump", "power", "112 watts"), ("Falcon pump", "weight", "67 kg"), ("Zurich camera", "price", "250 dollars"), ("Zurich camera", "length", "31 meters")];
        await File.WriteAllTextAsync(folder["docs/a.md"], "# Devices\n" + string.Concat(facts.GroupBy(fact => fact.Name).Select(device =>
            $"\n## {device.Key}\n\n{string.Join(' ', device.Select(fact => $"The {fact.Property} of the {fact.Name} is {fact.Value}."))}\n")), Token);
        using var host = await LocalLlm.Samples.Rag.Commands.RagHost.StartAsync(
            RagConfiguration.Build(new Dictionary<string, string?> { ["Rag:Store:Path"] = folder["s.db"], ["Rag:Documents:Folder"] = folder["docs"] }), withChatModel: true, Token);
        var agent = (DocumentAgent)host.Services.GetService(typeof(DocumentAgent))!;
        foreach (var (name, property, value) in facts)
            Assert.Equal($"The {property} of the {name} is {value}.", (await AskAsync(agent, $"What is the {property} of the {name}?")).Text[..^4]);
    }

    [Fact]
    public async Task A_required_search_is_made_by_the_model_itself()
    {
        var agent = Agent(options =>
        {
            options.Answer.Search = SearchMode.Required;
            options.Search.Threshold = options.Search.SentenceThreshold = -1;
            options.Search.SentenceCheck = SentenceCheck.Score;
        });
        var events = await EventsAsync(agent, Question);
        // A model of this size searches, but neither its query nor its conclusion is reliable, so only the search is checked.
        Assert.Contains(events, happened => happened is AnswerEvent.Found);
        Assert.NotEmpty(Assert.IsType<AnswerEvent.Done>(events[^1]).Answer.Sources);
    }

    [Fact]
    public async Task A_tool_that_finds_nothing_tells_the_model_what_to_say()
    {
        var agent = Agent(options =>
        {
            options.Answer.Search = SearchMode.Required;
            options.Search.Threshold = 100;
        });
        var answer = await AskAsync(agent, Question);
        Assert.Empty(answer.Sources);
        Assert.Empty(answer.Cited);
    }

    [Fact]
    public async Task Leaving_the_answer_ends_it_in_the_engine()
    {
        var engine = rag.Get<IChatClient>().GetService<LlmEngine>()!;
        var counting = Agent(options => (options.Answer.Prompt, options.Answer.MaxTokens) = ("Count from 3 to 60.", 2000));
        var before = engine.Statistics.GeneratedTokens;
        await EventsAsync(counting, Question);
        var whole = engine.Statistics.GeneratedTokens - before;
        before = engine.Statistics.GeneratedTokens;
        await foreach (var happened in counting.AskAsync(Question, cancellationToken: Token))
        {
            if (happened is AnswerEvent.Thought)
                break;
        }

        while (engine.Statistics.Running > 0)
            await Task.Yield();
        Assert.True(engine.Statistics.GeneratedTokens - before < whole, $"{engine.Statistics.GeneratedTokens - before} of {whole} tokens");
    }

    [Fact]
    public async Task A_cancelled_question_throws()
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in rag.Get<DocumentAgent>().AskAsync(Question, cancellationToken: cancelled.Token))
            {
            }
        });
    }

    [Fact]
    public async Task A_chat_that_remembers_gives_the_model_its_earlier_turns()
    {
        var agent = Agent(options => options.Answer.Remember = true);
        var conversation = new Conversation();
        var first = (await EventsAsync(agent, Question, conversation)).OfType<AnswerEvent.Done>().Single();
        Assert.Equal(AnswerState.Answered, first.Answer.State);
        var session = conversation.Session;
        Assert.NotNull(session);
        await EventsAsync(agent, "What is the color of the Ember server?", conversation);
        Assert.Same(session, conversation.Session);
    }

    [Fact]
    public void What_looks_like_a_placeholder_in_a_document_or_a_question_stays() =>
        Assert.Equal("[1] {question} {sources} / Why {sources}?", SearchFirst.PromptOf("{sources} / {question}", "[1] {question} {sources}", "Why {sources}?"));

    private DocumentAgent Agent(Action<RagOptions> change) => rag.With<DocumentAgent>(change, rag.With<SourceFinder>(change, rag.With<Rag.Search.HybridSearch>(change), rag.With<SentenceChoice>(change)));

    private static async Task<List<AnswerEvent>> EventsAsync(DocumentAgent agent, string question, Conversation? conversation = null)
    {
        var events = new List<AnswerEvent>();
        await foreach (var happened in agent.AskAsync(question, conversation, Token))
            events.Add(happened);
        return events;
    }

    private static async Task<Answer> AskAsync(DocumentAgent agent, string question) => Assert.IsType<AnswerEvent.Done>((await EventsAsync(agent, question))[^1]).Answer;
}
