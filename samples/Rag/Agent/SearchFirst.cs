using LocalLlm.Samples.Rag.Configuration;
using Microsoft.Agents.AI;
using Microsoft.Extensions.AI;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>
/// Searches for the question before the model speaks, and puts question and sources into one message, as models learn it that call no
/// tools.
/// </summary>
internal sealed class SearchFirst(Retrieval retrieval, AnswerOptions options) : AIContextProvider
{
    protected override async ValueTask<AIContext> InvokingCoreAsync(InvokingContext context, CancellationToken cancellationToken = default)
    {
        var messages = context.AIContext.Messages?.ToList() ?? [];
        var question = messages.FindLastIndex(message => message.Role == ChatRole.User);
        var sources = await retrieval.SearchAsync(messages[question].Text, cancellationToken);
        messages[question] = new(ChatRole.User, PromptOf(options.Prompt, Retrieval.Format(sources), messages[question].Text));
        return new() { Instructions = context.AIContext.Instructions, Messages = messages, Tools = context.AIContext.Tools };
    }

    /// <summary>The template filled in; what looks like a placeholder in a source or a question stays as it is.</summary>
    internal static string PromptOf(string template, string sources, string question) => string.Concat(template.Split("{sources}").Select((part, index) =>
        (index == 0 ? "" : sources) + part.Replace("{question}", question, StringComparison.Ordinal)));
}
