using System.CommandLine;
using System.Globalization;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Search;
using LocalLlm.Samples.Rag.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary><c>rag search QUERY</c>: the best passages with the scores of each kind.</summary>
internal static class SearchCommand
{
    public static Command Create(CommonOptions common, RagTerminal terminal)
    {
        var query = new Argument<string>("QUERY") { Description = "What to look for." };
        var command = new Command("search", "Shows the passages of the store that fit a query best, with their scores by each kind.") { query };
        command.SetAction(async (result, cancellationToken) =>
        {
            using var host = await RagHost.StartAsync(common.Configuration(result), withChatModel: false, cancellationToken);
            await OpenAsync(host.Services, cancellationToken);
            var search = host.Services.GetRequiredService<HybridSearch>();
            var ranked = await search.RankAsync(result.GetRequiredValue(query), cancellationToken);
            var found = await search.FindAsync(result.GetRequiredValue(query), cancellationToken);
            var options = host.Services.GetRequiredService<IOptions<RagOptions>>().Value.Search;
            foreach (var (hit, index) in ranked.Take(options.Passages).Select((hit, index) => (hit, index)))
                await terminal.Output.WriteLineAsync($"{(index == found.Count ? "Below the threshold:\n" : "")}{Described(hit)}");
            await terminal.Output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{found.Count} found: at least {options.Threshold} and {options.RelativeThreshold} of the best one's score"));
            return 0;
        });
        return command;
    }

    private static async Task OpenAsync(IServiceProvider services, CancellationToken cancellationToken)
    {
        var engine = services.GetRequiredService<TextEmbedder>().Engine;
        var store = services.GetRequiredService<IPassageStore>();
        await store.OpenAsync(new(engine.ModelName, engine.Dimensions), cancellationToken);
        if ((await store.GetDocumentsAsync(cancellationToken)).Count == 0)
            throw new RagException("the store holds no documents; run 'rag ingest' first");
    }

    private static string Described(SearchHit hit)
    {
        var scores = string.Create(CultureInfo.InvariantCulture, $"{hit.Scores.Hybrid:0.000} (dense {hit.Scores.Dense:0.000}, sparse {hit.Scores.Sparse:0.000}, multi-vector {hit.Scores.MultiVector:0.000})");
        var question = hit.Question is null ? "" : $"\n  by its question: {PlainLine.Of(hit.Question.Question)}";
        return $"{scores} {PlainLine.Of(hit.Passage.Source)}{question}\n  {PlainLine.Of(hit.Passage.Text)}";
    }
}
