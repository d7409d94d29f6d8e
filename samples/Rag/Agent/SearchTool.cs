using System.ComponentModel;
using LocalLlm.Samples.Rag.Configuration;
using Microsoft.Extensions.AI;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>The tool <c>search_documents</c>, created for one question.</summary>
internal sealed class SearchTool(Retrieval retrieval, AnswerOptions options)
{
    public const string Name = "search_documents";

    public AIFunction Create() => AIFunctionFactory.Create(SearchAsync, Name, "Searches the documents and returns numbered sources.");

    private async Task<string> SearchAsync([Description("What to look for, in a few words.")] string query, CancellationToken cancellationToken)
    {
        var sources = await retrieval.SearchAsync(query, cancellationToken);
        return sources.Count == 0 ? $"Nothing was found. If other words do not help, say: {options.NotFound}" : Retrieval.Format(sources);
    }
}
