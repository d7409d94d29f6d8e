using LocalLlm.Samples.Rag.Configuration;
using Microsoft.Agents.AI;
using Microsoft.Extensions.AI;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>
/// Searches for the question before the model generates, and puts question and sources into one message: for models that call no tools and
/// were trained on such messages.
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

    /// <summary>The template filled in; anything in a source or question that looks like a placeholder stays as it is.</summary>
    internal static string PromptOf(string template, string sources, string question) => string.Concat(template.Split("{sources}").Select((part, index) =>
        (index == 0 ? "" : sources) + part.Replace("{question}", question, StringComparison.Ordinal)));
}
