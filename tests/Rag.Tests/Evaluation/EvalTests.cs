using LocalLlm.Samples.Rag.Evaluation;
using LocalLlm.Samples.Rag.Search;
using LocalLlm.Tests;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Evaluation;

public sealed class EvalTests(ShippedRag rag)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_shipped_collection_gives_the_figures_of_the_models_own_page()
    {
        var folder = Path.Combine(TestPaths.TinyM3, "eval");
        var files = await BeirFiles.ReadAsync(Path.Combine(folder, "passages.jsonl"), Path.Combine(folder, "queries.jsonl"), Path.Combine(folder, "qrels.tsv"), Token);
        var rows = (await new EvalRun(rag.Services, TextWriter.Null, files, new(new HybridWeights(1, 0.3, 1), [1, 5], TieOrder.First)).PlainAsync(Token)).ToDictionary(row => row.Kind);
        Assert.Equal(1, rows["dense"].Recall[0], 0.005);
        Assert.Equal(1, rows["multi-vector"].Recall[0], 0.005);
        Assert.Equal(1, rows["hybrid"].Recall[0], 0.005);
        Assert.Equal(0.792, rows["sparse"].Recall[0], 0.005);
        Assert.Equal(0.885, rows["sparse"].Recall[1], 0.005);
    }

    [Fact]
    public void A_passage_is_as_good_as_the_best_of_its_text_and_its_questions()
    {
        var files = new BeirFiles([new("p1", ""), new("p2", "")], [new("q1", ""), new("q2", "no judgement")], [new("q1", "p2", 1)]);
        TextVectors right = Vectors(1, 0), other = Vectors(0, 1);
        var evaluator = new Evaluator(new(1, 0, 0), [1]);
        Assert.Equal(0, evaluator.Run(files, [right, right], [[right], [other]], Token)[0].Recall[0]);
        var rows = evaluator.Run(files, [right, right], [[other], [other, right]], Token);
        Assert.Equal(1, rows[0].Recall[0]);
        Assert.Equal(1, rows[0].ReciprocalRank);
        Assert.Equal(1, rows[0].Ndcg);
    }

    [Fact]
    public void A_search_with_equal_scores_ranks_like_chance()
    {
        var files = new BeirFiles([.. Enumerable.Range(0, 4).Select(p => new EvalText($"p{p}", ""))], [new("q1", "")], [new("q1", "p2", 1)]);
        TextVectors[] same = [.. Enumerable.Repeat(Vectors(1, 0), 4)];
        var row = new Evaluator(new(1, 0, 0), [1, 4]).Run(files, [same[0]], [.. same.Select(vectors => new[] { vectors })], Token)[0];
        Assert.Equal([0.25, 1], row.Recall);
        // (1 + 1/2 + 1/3 + 1/4) / 4
        Assert.Equal(25.0 / 48, row.ReciprocalRank, 12);
    }

    [Fact]
    public void Kinds_that_the_model_does_not_make_have_no_row()
    {
        var files = new BeirFiles([new("p1", "")], [new("q1", "")], [new("q1", "p1", 1)]);
        Assert.Equal(["dense", "multi-vector", "hybrid"], new Evaluator(new(1, 0, 0), [1]).Run(files, [Vectors(1)], [[Vectors(1)]], Token).Select(row => row.Kind));
    }

    [Fact]
    public void Queries_without_judgements_are_counted() =>
        Assert.Equal(2, Evaluator.Unjudged(new([new("p1", "")], [new("q1", ""), new("q2", ""), new("q3", "")], [new("q1", "p1", 1), new("q2", "p1", 0)])));

    [Fact]
    public async Task Pairs_are_written_once_and_read_after_that()
    {
        using var folder = new TemporaryFolder();
        const string Passage = "The length of the Cobalt motor is 665 meters. The speed of the Cobalt motor is 129 km/h. The temperature of the Cobalt motor is 274 degrees.";
        var files = new BeirFiles([new("p1", Passage)], [new("q1", "What is the length of the Cobalt motor?")], [new("q1", "p1", 1)]);
        var run = new EvalRun(rag.Services, TextWriter.Null, files, new(new(1, 0.3, 1), [1]));
        await run.PlainAsync(Token);
        await run.WithQuestionsAsync(folder["pairs"], null, Token);
        Assert.Contains("\"question\":\"What is", await File.ReadAllTextAsync(folder["pairs"], Token), StringComparison.Ordinal);
        folder.Write("pairs", "{\"passage\":\"none\",\"question\":\"Q?\",\"answer\":\"A\"}\n");
        Assert.Contains("no passage 'none'", (await Assert.ThrowsAsync<RagException>(() => run.WithQuestionsAsync(folder["pairs"], null, Token))).Message, StringComparison.Ordinal);
        folder.Write("pairs", "no json\n");
        Assert.Contains("line 1", (await Assert.ThrowsAsync<RagException>(() => run.WithQuestionsAsync(folder["pairs"], null, Token))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pairs_of_a_limited_run_are_not_used_for_the_whole_collection()
    {
        using var folder = new TemporaryFolder();
        var files = new BeirFiles([new("p1", ""), new("p2", "")], [], []);
        var path = folder["pairs"];
        await PairFile.WriteAsync(path, files, 1, [("p1", new("Q?", "A"))], Token);
        Assert.Equal([("p1", new("Q?", "A"))], await PairFile.ReadAsync(path, files, 1, Token));
        Assert.Contains("has pairs of the first 1 passages, and all passages are asked for; give --qa-limit 1", (await Assert.ThrowsAsync<RagException>(() => PairFile.CheckAsync(path, files, null, Token))).Message, StringComparison.Ordinal);
        // A limit that covers the whole collection is no limit.
        await PairFile.WriteAsync(path, files, 2, [("p1", new("Q?", "A"))], Token);
        Assert.Single(await PairFile.ReadAsync(path, files, null, Token));
        Assert.Contains("leave out --qa-limit", (await Assert.ThrowsAsync<RagException>(() => PairFile.CheckAsync(path, files, 1, Token))).Message, StringComparison.Ordinal);
        Assert.Equal([path], Directory.GetFiles(Path.GetDirectoryName(path)!));
    }

    [Fact]
    public async Task An_unwritable_pair_file_is_reported_before_pairs_are_generated()
    {
        using var folder = new TemporaryFolder();
        var files = new BeirFiles([new("p1", "")], [], []);
        Directory.CreateDirectory(folder["sub"]);
        Assert.Contains("is a folder", await MessageAsync(folder["sub"]), StringComparison.Ordinal);
        Assert.Contains("does not exist; create it", await MessageAsync(Path.Combine(folder["none"], "pairs")), StringComparison.Ordinal);
        // Not even a privileged user can create a file with such a long name.
        Assert.Contains("which cannot be", await MessageAsync(folder[new string('a', 300)]), StringComparison.Ordinal);
        await PairFile.CheckAsync(folder["pairs"], files, null, Token);
        Assert.Empty(Directory.GetFiles(Path.GetDirectoryName(folder["pairs"])!));

        async Task<string> MessageAsync(string path) => (await Assert.ThrowsAsync<RagException>(() => PairFile.CheckAsync(path, files, null, Token))).Message;
    }

    private static TextVectors Vectors(params float[] dense) => new(dense, [], [], [dense]);
}
