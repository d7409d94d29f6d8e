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
    public async Task A_file_that_is_no_store_is_told()
    {
        _folder.Write("other.db", new string('x', 5000));
        foreach (var path in new[] { _folder["other.db"], "/proc/none/rag.db" })
        {
            var failure = await Assert.ThrowsAsync<RagException>(() => At(path).OpenAsync(new("model", 2), Token));
            Assert.Contains(path, failure.Message, StringComparison.Ordinal);
        }
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _folder.Dispose();
    }

    private static SqlitePassageStore At(string path) => new(Options.Create(new Rag.Configuration.RagOptions { Store = { Path = path } }));
}
