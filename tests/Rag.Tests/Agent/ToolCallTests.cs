using System.Runtime.CompilerServices;
using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Configuration;
using Microsoft.Extensions.AI;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Agent;

/// <summary>
/// The agent with a model that calls tools well. The models in the repository do not, so the tests write the model's output; all else is
/// real.
/// </summary>
public sealed class ToolCallTests(ShippedRag rag)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Numbers_go_on_from_search_to_search_and_citations_are_bound_to_them()
    {
        var model = new Spoken(Call("power of the Ember server"), Call("power of the Ember server"), Call("color of the Vega printer"), [new TextContent("It has 903 watts [1]; the printer is yellow ["), new TextContent("2] [7].")]);
        var answer = await AskAsync(model, null);
        Assert.Equal("It has 903 watts [1]; the printer is yellow [2].", answer.Text);
        Assert.Equal([1, 2], answer.Cited);
        Assert.Contains("903 watts", answer.Sources[0].Text, StringComparison.Ordinal);
        Assert.Contains("yellow", answer.Sources[1].Text, StringComparison.Ordinal);
        Assert.Contains("[7]", Assert.Single(answer.Notes), StringComparison.Ordinal);
        // Only the first step must call the tool; the model reads what the tool returned.
        Assert.Equal([true, false, false, false], model.Asked.Select(asked => asked.Options?.ToolMode is RequiredChatToolMode));
        Assert.StartsWith("[1] ", ResultOf(model.Asked[1]), StringComparison.Ordinal);
        Assert.Equal(ResultOf(model.Asked[1]), ResultOf(model.Asked[2]));
        Assert.StartsWith("[2] ", ResultOf(model.Asked[3]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_was_said_before_a_call_is_no_part_of_the_answer()
    {
        var answer = await AskAsync(new Spoken([new TextContent("Let me look."), .. Call("power of the Ember server")], [new TextContent("903 watts [1].")]), null);
        Assert.Equal("903 watts [1].", answer.Text);
    }

    [Fact]
    public async Task A_later_turn_may_cite_what_an_earlier_one_was_shown()
    {
        var conversation = new Conversation();
        await AskAsync(new Spoken(Call("power of the Ember server"), [new TextContent("903 watts [1].")]), conversation);
        var model = new Spoken(Call("color of the Vega printer"), [new TextContent("Yellow [2], and as said 903 watts [1].")]);
        var answer = await AskAsync(model, conversation);
        Assert.Equal([1, 2], answer.Cited);
        Assert.Contains("903 watts", answer.Sources[0].Text, StringComparison.Ordinal);
        Assert.Contains(model.Asked[0].Messages, message => message.Text == "903 watts [1].");
    }

    [Fact]
    public async Task Where_nothing_was_found_the_models_own_words_are_no_answer()
    {
        var answer = await AskAsync(new Spoken(Call("power of the Ember server"), [new TextContent("It has 12 watts.")]), null, options => options.Search.Threshold = 100);
        Assert.Equal(("The context does not say.", AnswerState.NotFound), (answer.Text, answer.State));
    }

    private static IList<AIContent> Call(string query) => [new FunctionCallContent(Guid.NewGuid().ToString(), SearchTool.Name, new Dictionary<string, object?> { ["query"] = query })];

    private static string ResultOf((IReadOnlyList<ChatMessage> Messages, ChatOptions? Options) asked) => asked.Messages[^1].Contents.OfType<FunctionResultContent>().Single().Result!.ToString()!;

    private async Task<Answer> AskAsync(IChatClient model, Conversation? conversation, Action<RagOptions>? change = null)
    {
        void Real(RagOptions options)
        {
            options.Answer.Search = SearchMode.Required;
            options.Answer.Sources = SourceForm.Passages;
            options.Answer.Remember = true;
            options.Search.Passages = 1;
            change?.Invoke(options);
        }

        var agent = rag.With<DocumentAgent>(Real, model, rag.With<SourceFinder>(Real, rag.With<Rag.Search.HybridSearch>(Real), rag.With<SentenceChoice>(Real)));
        Answer? answer = null;
        await foreach (var happened in agent.AskAsync("What of the Ember server and the Vega printer?", conversation, Token))
            answer = (happened as AnswerEvent.Done)?.Answer;
        return answer!;
    }

    /// <summary>Returns the given responses in order, and records its requests.</summary>
    private sealed class Spoken(params IList<AIContent>[] steps) : IChatClient
    {
        public List<(IReadOnlyList<ChatMessage> Messages, ChatOptions? Options)> Asked { get; } = [];

        public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
            GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

        public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            Asked.Add(([.. messages], options));
            foreach (var content in steps[Asked.Count - 1])
            {
                await Task.Yield();
                yield return new(ChatRole.Assistant, [content]);
            }
        }

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public void Dispose()
        {
        }
    }
}
