using System.Runtime.CompilerServices;
using System.Text;
using System.Threading.Channels;
using LocalLlm.Extensions.AI;
using LocalLlm.Samples.Rag.Agreement;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Ingest;
using Microsoft.Agents.AI;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>Answers questions from the documents: an agent of Microsoft's Agent Framework whose tool is the search.</summary>
internal sealed class DocumentAgent(IChatClient client, SourceFinder finder, FollowUp followUp, FreshDocuments documents, IOptions<RagOptions> options, ILoggerFactory loggers)
{
    private const string NoFittingSentence =
        "Passages were found, but none of their sentences fits the question closely enough; try other words.";
    private const string Changed = "The documents have changed, so the sources of earlier answers are no longer used.";
    private readonly AnswerOptions _options = options.Value.Answer;

    /// <summary>Answers a question and reports what happens; the last event is <see cref="AnswerEvent.Done"/>.</summary>
    /// <param name="question">The question.</param>
    /// <param name="conversation">Earlier turns, to which this one is added; null: the question stands alone.</param>
    /// <param name="cancellationToken">Stops the generation in the engine too.</param>
    public async IAsyncEnumerable<AnswerEvent> AskAsync(string question, Conversation? conversation = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        // A search reports from inside the agent, so a channel joins what it found with the model's words.
        var events = Channel.CreateUnbounded<AnswerEvent>();
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var answering = AnswerAsync(question, conversation, events.Writer, left.Token);
        try
        {
            await foreach (var happened in events.Reader.ReadAllAsync(CancellationToken.None))
                yield return happened;
        }
        finally
        {
            // If the caller stops listening, the answer is cancelled.
            await left.CancelAsync();
            await answering.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        await answering;
    }

    private async Task AnswerAsync(string question, Conversation? conversation, ChannelWriter<AnswerEvent> events, CancellationToken cancellationToken)
    {
        try
        {
            await documents.EnsureAsync(cancellationToken);
            var standalone = await followUp.StandaloneAsync(question, conversation, cancellationToken);
            var answer = await AnswerAloneAsync(standalone, conversation, events, cancellationToken);
            conversation?.Add(new(standalone, answer.Text));
            events.TryWrite(new AnswerEvent.Done(answer with { Question = question, Standalone = standalone == question ? null : standalone }));
        }
        finally
        {
            events.Complete();
        }
    }

    private async Task<Answer> AnswerAloneAsync(string question, Conversation? conversation, ChannelWriter<AnswerEvent> events, CancellationToken cancellationToken)
    {
        var remembered = _options.Remember ? conversation : null;
        var isStale = remembered is not null && documents.HaveChanged(remembered.Sources.Select(source => source.Hit.Passage.Document), remembered.Generation);
        if (isStale)
            remembered!.ForgetSources();
        remembered?.Generation = documents.Generation;
        var retrieval = new Retrieval(finder, remembered?.Sources ?? [], found => events.TryWrite(new AnswerEvent.Found(found.Hits, found.Sources)));
        var answer = _options.Search == SearchMode.Context && (await retrieval.SearchAsync(question, cancellationToken)).Count == 0
            ? await NotFoundAsync(question, retrieval, cancellationToken)
            : await AskModelAsync(question, remembered, retrieval, events, cancellationToken);
        return isStale ? answer with { Notes = [.. answer.Notes, Changed] } : answer;
    }

    private async Task<Answer> AskModelAsync(string question, Conversation? remembered, Retrieval retrieval, ChannelWriter<AnswerEvent> events, CancellationToken cancellationToken)
    {
        // Already searched for; sources of earlier turns are not quoted again.
        var shown = _options.Search == SearchMode.Context ? await retrieval.SearchAsync(question, cancellationToken) : [];
        var agent = CreateAgent(retrieval, shown);
        var session = remembered is null ? null : remembered.Session ??= await agent.CreateSessionAsync(cancellationToken);
        var (text, thought) = (new StringBuilder(), new StringBuilder());
        await foreach (var update in agent.RunStreamingAsync(question, session, cancellationToken: cancellationToken))
        {
            foreach (var content in update.Contents)
            {
                if (content is TextReasoningContent thinking)
                    events.TryWrite(new AnswerEvent.Thought(Append(thought, thinking.Text)));
                else if (content is FunctionCallContent)
                    text.Clear();
                else if (content is TextContent said)
                    events.TryWrite(new AnswerEvent.Text(Append(text, said.Text)));
            }
        }

        remembered?.Sources = retrieval.Sources;
        // A model that thinks until its tokens are used up has not chosen a sentence; each of those shown has passed all checks.
        if (_options is { Quote: true, QuoteMayRefuse: false } && shown.Count > 0 && !shown.Any(source => source.Text == text.ToString()))
            text.Clear().Append(shown.MaxBy(source => source.Part.Score)!.Text);
        // If nothing was found, whatever the model says does not come from the documents.
        var answer = retrieval.FoundNothing ? null : CitationReader.Read(question, text.ToString(), thought.ToString(), retrieval.Sources, _options) with { Hits = retrieval.Hits };
        return answer is { State: not AnswerState.NotFound } ? answer : await NotFoundAsync(question, retrieval, cancellationToken) with { Thought = thought.ToString(), Sources = answer?.Sources ?? [], Notes = answer?.Notes ?? [] };
    }

    /// <summary>The refusal, with the passages near enough to help the reader.</summary>
    private async Task<Answer> NotFoundAsync(string question, Retrieval retrieval, CancellationToken cancellationToken)
    {
        var near = await finder.NearAsync(question, retrieval.Hits, cancellationToken);
        var notes = new List<string>();
        if (near.Count > 0)
            notes.Add(NoFittingSentence);
        if (AskedQuestion.Read(question, Synonyms.None).Pointer is { } pointer)
            notes.Add($"The question says '{pointer}' without naming what it means; name it.");
        return new() { Question = question, Text = _options.NotFound, State = AnswerState.NotFound, Cited = [], Hits = near, Notes = notes };
    }

    private ChatClientAgent CreateAgent(Retrieval retrieval, IReadOnlyList<Source> shown)
    {
        var chat = new ChatOptions { Temperature = (float)_options.Temperature, MaxOutputTokens = _options.MaxTokens };
        if (_options.Instructions.Length > 0)
            chat.Instructions = _options.Instructions;
        if (_options.Quote && shown.Count > 0)
        {
            string[] choices = [.. shown.Select(source => source.Text).Concat(_options.QuoteMayRefuse ? [_options.NotFound] : []).Distinct()];
            // The prompt already has the sentences that may be quoted.
            chat.RawRepresentationFactory = _ => new LocalLlmRequestOptions { StructuredOutputs = new() { Choice = choices }, DescribeStructuredOutputs = false };
        }

        if (_options.Search != SearchMode.Context)
        {
            chat.Tools = [new SearchTool(retrieval, _options).Create()];
            // Only the first step: the function-calling client lets the model generate freely after it.
            chat.ToolMode = _options.Search == SearchMode.Required ? ChatToolMode.RequireSpecific(SearchTool.Name) : ChatToolMode.Auto;
        }

        return new(
            client,
            new ChatClientAgentOptions { Name = "documents", ChatOptions = chat, AIContextProviders = _options.Search == SearchMode.Context ? [new SearchFirst(retrieval, _options)] : null },
            loggers);
    }

    private static string Append(StringBuilder whole, string piece)
    {
        whole.Append(piece);
        return piece;
    }
}
