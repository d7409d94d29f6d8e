using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Commands;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Ingest;
using LocalLlm.Tests.Weights;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Ingest;

/// <summary>Documents that change while a program answers from them.</summary>
public sealed class FreshDocumentsTests : IDisposable
{
    private const string Price = "What is the price of the Lynx lantern?";
    private const string Refusal = "The context does not say.";
    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_was_changed_added_removed_or_cannot_be_read_shows_in_the_next_answer()
    {
        Document("a.md", "The price of the Lynx lantern is 38 dollars.");
        Document("b.md", "The color of the Marlin barge is blue.");
        using var log = new StringWriter();
        using var host = await RagHost.StartAsync(Configuration(), withChatModel: true, log, Token);
        var agent = host.Services.GetRequiredService<DocumentAgent>();
        Assert.Equal("The price of the Lynx lantern is 38 dollars. [1]", await AskAsync(agent, Price));

        // The same size, written at once: the file system's clock may not have advanced.
        Document("a.md", "The price of the Lynx lantern is 39 dollars.");
        Assert.Equal("The price of the Lynx lantern is 39 dollars. [1]", await AskAsync(agent, Price));

        Document("c.txt", "The weight of the Lynx lantern is 2 kilograms.");
        Assert.Equal("The weight of the Lynx lantern is 2 kilograms. [1]", await AskAsync(agent, "What is the weight of the Lynx lantern?"));

        File.Move(_folder["documents/a.md"], _folder["documents/z.md"]);
        Assert.Equal("The price of the Lynx lantern is 39 dollars. [1]", await AskAsync(agent, Price));

        // The store keeps the document's old text, but that text may no longer be true.
        File.WriteAllBytes(_folder["documents/z.md"], [0xFF, 0xE4]);
        Assert.Equal(Refusal, await AskAsync(agent, Price));
        Assert.Equal("The color of the Marlin barge is blue. [1]", await AskAsync(agent, "What is the color of the Marlin barge?"));
        Document("z.md", "The price of the Lynx lantern is 40 dollars.");
        Assert.Equal("The price of the Lynx lantern is 40 dollars. [1]", await AskAsync(agent, Price));

        File.Delete(_folder["documents/z.md"]);
        Assert.Equal(Refusal, await AskAsync(agent, Price));
        Assert.Contains("z.md: removed", log.ToString(), StringComparison.Ordinal);

        foreach (var file in Directory.GetFiles(_folder["documents"]))
            File.Delete(file);
        Assert.Contains("is empty", (await Assert.ThrowsAsync<RagException>(() => AskAsync(agent, Price))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_folder_is_looked_at_no_more_often_than_the_interval_says_and_read_only_where_it_has_changed()
    {
        Document("a.md", "One.");
        File.SetLastWriteTimeUtc(_folder["documents/a.md"], new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        var time = new ManualTime();
        using var log = new StringWriter();
        using var host = await RagHost.StartAsync(Configuration(("Rag:Documents:RefreshInterval", "00:01:00")), withChatModel: true, log, Token);
        using var documents = ActivatorUtilities.CreateInstance<FreshDocuments>(host.Services, time);
        await documents.EnsureAsync(Token);
        Document("b.md", "Two.");
        File.SetLastWriteTimeUtc(_folder["documents/b.md"], new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        time.Now += TimeSpan.FromSeconds(59);
        await documents.EnsureAsync(Token);
        Assert.DoesNotContain("b.md", log.ToString(), StringComparison.Ordinal);
        time.Now += TimeSpan.FromSeconds(1);
        await documents.EnsureAsync(Token);
        Assert.Contains("b.md: 1 passages", log.ToString(), StringComparison.Ordinal);
        var (told, generation) = (log.ToString(), documents.Generation);
        time.Now += TimeSpan.FromSeconds(60);
        await documents.EnsureAsync(Token);
        Assert.Equal((told, generation), (log.ToString(), documents.Generation));
        Assert.True(documents.HaveChanged(["b.md"], generation - 1));
        Assert.False(documents.HaveChanged(["a.md"], generation - 1));
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _folder.Dispose();
    }

    private Microsoft.Extensions.Configuration.IConfigurationRoot Configuration(params (string Key, string Value)[] others)
    {
        var settings = new Dictionary<string, string?> { ["Rag:Store:Path"] = _folder["s.db"], ["Rag:Documents:Folder"] = _folder["documents"], ["Rag:Questions:PerPassage"] = "0" };
        foreach (var (key, value) in others)
            settings[key] = value;
        return RagConfiguration.Build(settings);
    }

    private void Document(string name, string text)
    {
        Directory.CreateDirectory(_folder["documents"]);
        File.WriteAllText(_folder["documents/" + name], text);
    }

    private static async Task<string> AskAsync(DocumentAgent agent, string question)
    {
        var text = "";
        await foreach (var happened in agent.AskAsync(question, cancellationToken: Token))
            text = (happened as AnswerEvent.Done)?.Answer.Text ?? text;
        return text;
    }

    private sealed class ManualTime : TimeProvider
    {
        public TimeSpan Now { get; set; } = TimeSpan.Zero;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override DateTimeOffset GetUtcNow() => new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero) + Now;

        public override long GetTimestamp() => Now.Ticks;
    }
}
