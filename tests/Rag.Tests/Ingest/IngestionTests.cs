using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Documents;
using LocalLlm.Samples.Rag.Ingest;
using LocalLlm.Samples.Rag.Storage;
using LocalLlm.Tests.Weights;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Options;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Ingest;

public sealed class IngestionTests(ShippedRag rag) : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void The_shipped_documents_are_of_all_three_kinds_and_all_are_read()
    {
        Assert.Empty(rag.Report.Failed);
        Assert.Superset(new HashSet<string> { ".md", ".txt", ".pdf" }, rag.Report.Documents.Select(document => Path.GetExtension(document.Document)).ToHashSet());
        Assert.True(rag.Report.Passages >= 30);
    }

    [Fact]
    public async Task Only_what_has_changed_is_embedded_again()
    {
        Document("a.md", "The power of the Ember server is 903 watts.");
        Document("b.md", "The color of the Vega printer is yellow.");
        Assert.Equal("a.md Ingested, b.md Ingested", await RunAsync());
        Assert.Equal("a.md Unchanged, b.md Unchanged", await RunAsync());
        Document("a.md", "The power of the Ember server is 904 watts.");
        Assert.Equal("a.md Ingested, b.md Unchanged", await RunAsync());
        Assert.Equal("a.md Ingested, b.md Ingested", await RunAsync(options => options.Chunking.MaxTokens = 50));
        Assert.Equal("a.md Ingested, b.md Ingested", await RunAsync(options => options.Questions.PerPassage = 0));
    }

    [Fact]
    public async Task A_setting_that_makes_other_questions_makes_them_again()
    {
        Document("a.md", "The power of the Ember server is 903 watts.");
        await RunAsync();
        foreach (var change in new Action<RagOptions>[]
        {
            options => options.Questions.Threshold = 0.5,
            options => options.Search.Candidates = 7,
            options => options.Search.Weights.Sparse = 0.9,
            options => options.Answer.Prompt = "{sources}\n{question}",
        })
        {
            Assert.Equal("a.md Ingested", await RunAsync(change));
            Assert.Equal("a.md Unchanged", await RunAsync(change));
        }
    }

    [Fact]
    public async Task A_document_that_is_gone_is_gone_from_the_store()
    {
        Document("a.md", "One.");
        Document("b.md", "Two.");
        await RunAsync();
        File.Delete(_folder["documents/a.md"]);
        Assert.Equal("b.md Unchanged, a.md Removed", await RunAsync());
        Assert.Equal(["b.md"], (await Store().GetDocumentsAsync(Token)).Select(document => document.Name));
    }

    [Fact]
    public async Task A_document_that_fails_is_reported_by_name_and_the_others_go_on()
    {
        Document("a.md", "One.");
        await RunAsync();
        File.WriteAllBytes(_folder["documents/a.md"], [0xFF, 0xE4]);
        Document("b.pdf", "no PDF");
        Document("c.md", "Three.");
        var report = await Ingestion().RunAsync(null, Token);
        Assert.Equal([IngestState.Failed, IngestState.Failed, IngestState.Ingested], report.Documents.Select(document => document.State));
        Assert.Contains("not UTF-8", report.Failed[0].Error, StringComparison.Ordinal);
        // The store still has the earlier text of the failed document.
        Assert.Equal(["a.md", "c.md"], (await Store().GetDocumentsAsync(Token)).Select(document => document.Name));
    }

    [Fact]
    public async Task A_folder_that_cannot_be_opened_is_reported_by_name_and_costs_no_document()
    {
        Directory.CreateDirectory(_folder["documents/sub"]);
        Document("a.md", "One.");
        Document("sub/b.md", "Two.");
        Document("sub.md", "Three.");
        await RunAsync();
        File.Delete(_folder["documents/sub.md"]);
        var folder = rag.With<DocumentFolder>(options => options.Documents.Folder = _folder["documents"]);
        var entries = folder.Entries;
        folder.Entries = path => path.EndsWith("sub", StringComparison.Ordinal) ? throw new UnauthorizedAccessException("denied") : entries(path);
        var report = await Ingestion(folder: folder).RunAsync(null, Token);
        Assert.Equal("a.md Unchanged, sub Failed, sub.md Removed, sub/b.md Failed", string.Join(", ", report.Documents.Select(document => $"{document.Document} {document.State}")));
        Assert.Contains("denied", report.Failed[0].Error, StringComparison.Ordinal);
        Assert.Equal(["a.md", "sub/b.md"], (await Store().GetDocumentsAsync(Token)).Select(document => document.Name));
    }

    [Fact]
    public async Task Another_folder_or_an_empty_one_removes_nothing()
    {
        Document("a.md", "One.");
        await RunAsync();
        Directory.CreateDirectory(_folder["other"]);
        var other = await Assert.ThrowsAsync<RagException>(() => RunAsync(options => options.Documents.Folder = _folder["other"]));
        Assert.Contains($"was made from the folder '{_folder["documents"]}'", other.Message, StringComparison.Ordinal);
        File.Delete(_folder["documents/a.md"]);
        var empty = await Assert.ThrowsAsync<RagException>(() => RunAsync());
        Assert.Contains("is empty, and the store", empty.Message, StringComparison.Ordinal);
        Assert.Single(await Store().GetDocumentsAsync(Token));
    }

    [Fact]
    public async Task A_store_that_fails_ends_the_run()
    {
        Document("a.md", "One.");
        Document("b.md", "Two.");
        await RunAsync();
        using var connection = new SqliteConnection($"Data Source={_folder["rag.db"]};Pooling=false");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "CREATE TRIGGER full BEFORE INSERT ON passages BEGIN SELECT RAISE(ABORT, 'disk full'); END";
        command.ExecuteNonQuery();
        Document("a.md", "Another.");
        Assert.Contains("disk full", (await Assert.ThrowsAsync<RagException>(() => RunAsync())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Passages_longer_than_the_model_reads_are_refused_before_anything_is_done()
    {
        Document("a.md", "One.");
        var failure = await Assert.ThrowsAsync<RagException>(() => RunAsync(options => options.Chunking.MaxTokens = 1_000_000));
        Assert.Contains("reads at most", failure.Message, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _folder.Dispose();
    }

    private void Document(string name, string text)
    {
        Directory.CreateDirectory(_folder["documents"]);
        _folder.Write("documents/" + name, text);
    }

    private SqlitePassageStore Store() => new(Options.Create(new RagOptions { Store = { Path = _folder["rag.db"] } }));

    private Ingestion Ingestion(Action<RagOptions>? change = null, DocumentFolder? folder = null)
    {
        void All(RagOptions options)
        {
            options.Documents.Folder = _folder["documents"];
            change?.Invoke(options);
        }

        return rag.With<Ingestion>(All, folder ?? rag.With<DocumentFolder>(All), rag.Get<TokenCounter>(), rag.With<Rag.Questions.QuestionMaker>(All, rag.Get<Rag.Questions.IQuestionWriter>()), Store());
    }

    private async Task<string> RunAsync(Action<RagOptions>? change = null) =>
        string.Join(", ", (await Ingestion(change).RunAsync(null, Token)).Documents.Select(document => $"{document.Document} {document.State}"));
}
