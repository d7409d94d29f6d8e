using LocalLlm.Samples.Rag.Storage;
using LocalLlm.Tests.Weights;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Options;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Storage;

public sealed class SqlitePassageStoreTests : PassageStoreContract, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private protected override IPassageStore Open() => At(_folder["sub/rag.db"]);

    [Fact]
    public async Task A_file_that_is_no_store_is_reported()
    {
        _folder.Write("other.db", new string('x', 5000));
        foreach (var path in new[] { _folder["other.db"], "/proc/none/rag.db" })
        {
            var failure = await Assert.ThrowsAsync<RagException>(() => At(path).OpenAsync(new("model", 2), Token));
            Assert.Contains(path, failure.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("CREATE TABLE letters (a)")]
    [InlineData("CREATE TABLE store (goods)")]
    public async Task A_database_of_another_program_is_refused_and_not_changed(string statement)
    {
        Execute(statement);
        var before = File.ReadAllBytes(_folder["other.db"]);
        var failure = await Assert.ThrowsAsync<RagException>(() => At(_folder["other.db"]).OpenAsync(new("model", 2), Token));
        Assert.Contains("another program's tables", failure.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(_folder["other.db"]));
    }

    [Fact]
    public async Task A_store_that_fails_later_is_reported_as_clearly_as_one_that_cannot_be_opened()
    {
        var store = At(_folder["other.db"]);
        await store.OpenAsync(new("model", 2), Token);
        Execute("DROP TABLE documents; DROP TABLE source; DROP TABLE entries");
        foreach (var call in new Func<Task>[] { () => store.GetDocumentsAsync(Token), () => store.RemoveAsync("a", Token), () => store.ClaimAsync("a", Token), () => store.ReplaceAsync(new("a", "", 0, 0), [], Token), () => store.FindCandidatesAsync(new([1, 0], [], [], []), 1, Token) })
            Assert.Contains("cannot be used: SQLite Error", (await Assert.ThrowsAsync<RagException>(call)).Message, StringComparison.Ordinal);
    }

    private void Execute(string statement)
    {
        using var connection = new SqliteConnection($"Data Source={_folder["other.db"]};Pooling=false");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = statement;
        command.ExecuteNonQuery();
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _folder.Dispose();
    }

    private static SqlitePassageStore At(string path) => new(Options.Create(new Rag.Configuration.RagOptions { Store = { Path = path } }));
}
