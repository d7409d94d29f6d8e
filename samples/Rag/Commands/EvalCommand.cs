using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Evaluation;
using LocalLlm.Samples.Rag.Search;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Spectre.Console;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary><c>rag eval</c>: measures over a collection in BEIR's format how well each kind of score finds the relevant passages.</summary>
internal static class EvalCommand
{
    public static Command Create(CommonOptions common, RagTerminal terminal)
    {
        var passages = File("--passages", "JSON lines with _id and text.");
        var queries = File("--queries", "JSON lines with _id and text.");
        var qrels = File("--qrels", "query-id, corpus-id and grade, divided by tabs; or TREC's four columns.");
        var cutoffs = new Option<string>("--k")
        {
            Description = "The values of k for recall@k, separated by commas.", HelpName = "K,K,…", DefaultValueFactory = _ => "1,5,10",
        };
        var ties = new Option<TieOrder>("--ties")
        {
            Description = "Where a relevant passage stands among others of the same score: mean (over all orders), first or last.",
            HelpName = "mean|first|last",
            DefaultValueFactory = _ => TieOrder.Mean,
            CustomParser = result => TiesOf(result.Tokens[0].Value) ?? Refused(result),
        };
        var withQuestions = new Option<bool>("--qa") { Description = "Also with question–answer pairs by the chat model." };
        var limit = new Option<int?>("--qa-limit") { Description = "Make pairs for the first N passages only.", HelpName = "N" };
        limit.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && int.TryParse(token.Value, CultureInfo.InvariantCulture, out var passagesAsked) && passagesAsked < 1)
                result.AddError($"--qa-limit is {passagesAsked}; allowed: 1 or more passages");
        });
        var pairFile = File("--qa-pairs", "Pairs are read from this file; where it does not exist they are made and written to it. Means --qa.");
        var command = new Command("eval", "Prints recall@k, MRR@10 and nDCG@10 of dense, sparse, multi-vector and hybrid search over a collection in BEIR's format; without files over that of the shipped embedding model.")
        {
            passages, queries, qrels, cutoffs, ties, withQuestions, limit, pairFile,
        };
        command.SetAction(async (result, cancellationToken) =>
        {
            var configuration = common.Configuration(result);
            var ks = Cutoffs(result.GetRequiredValue(cutoffs));
            var files = await BeirFiles.ReadAsync(Path(passages, "passages.jsonl"), Path(queries, "queries.jsonl"), Path(qrels, "qrels.tsv"), cancellationToken);
            var cache = result.GetValue(pairFile);
            var withPairs = result.GetValue(withQuestions) || cache is not null;
            var asksModel = withPairs && !System.IO.File.Exists(cache);
            if (!withPairs && result.GetValue(limit) is not null)
                throw new RagException("--qa-limit says for how many passages pairs are made, and none are; add --qa or --qa-pairs FILE");
            if (asksModel && configuration.GetValue("Rag:Questions:PerPassage", new RagOptions().Questions.PerPassage) == 0)
                throw new RagException("Rag:Questions:PerPassage is 0, so there are no pairs to measure with; set it to 1 or more, or leave out --qa");
            if (cache is not null)
                await PairFile.CheckAsync(cache, files, result.GetValue(limit), cancellationToken);
            using var host = await RagHost.StartAsync(configuration, asksModel, cancellationToken);
            var run = new EvalRun(host.Services, terminal.Error, files, new Evaluator(host.Services.GetRequiredService<HybridSearch>().Weights, ks, result.GetValue(ties)));
            var plain = await run.PlainAsync(cancellationToken);
            // Written at once, because the pairs may take hours.
            terminal.Console.Write(TableOf(plain, "", ks));
            if (Evaluator.Unjudged(files) is > 0 and var unjudged)
                await terminal.Output.WriteLineAsync($"{unjudged} queries without judgements are left out");
            if (withPairs)
                terminal.Console.Write(TableOf(await run.WithQuestionsAsync(cache, result.GetValue(limit), cancellationToken), " + pairs", ks));
            return 0;

            string Path(Option<string> option, string name) => result.GetValue(option) ?? RagConfiguration.InRepository(System.IO.Path.Combine("models", "tiny-m3", "eval", name));
        });
        return command;
    }

    // By name alone: an enumeration's parser accepts any number too.
    private static TieOrder? TiesOf(string text) => text switch { "mean" => TieOrder.Mean, "first" => TieOrder.First, "last" => TieOrder.Last, _ => null };

    private static TieOrder Refused(ArgumentResult result)
    {
        result.AddError($"--ties is '{result.Tokens[0].Value}'; allowed: mean, first or last");
        return default;
    }

    private static Option<string> File(string name, string description) => new(name) { Description = description, HelpName = "FILE" };

    private static int[] Cutoffs(string text)
    {
        var ks = text.Split(',').Select(k => int.TryParse(k, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0).ToArray();
        if (!ks.All(k => k > 0) || ks.Distinct().Count() < ks.Length)
            throw new RagException($"--k is '{text}'; wanted whole numbers of 1 or more, each once, with commas, such as 1,5,10");
        return ks;
    }

    private static Table TableOf(IReadOnlyList<EvalRow> rows, string suffix, IReadOnlyList<int> ks)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("search");
        foreach (var column in ks.Select(k => $"recall@{k}").Append("MRR@10").Append("nDCG@10"))
            table.AddColumn(new TableColumn(column).RightAligned().NoWrap());
        foreach (var row in rows)
            table.AddRow([new Text(row.Kind + suffix), .. row.Recall.Append(row.ReciprocalRank).Append(row.Ndcg).Select(value => new Text((100 * value).ToString("0.0", CultureInfo.InvariantCulture)))]);
        return table;
    }
}
