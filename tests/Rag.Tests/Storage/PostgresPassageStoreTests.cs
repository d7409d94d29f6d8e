using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Storage;
using Microsoft.Extensions.Options;
using Npgsql;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Storage;

public sealed class PostgresPassageStoreTests : PassageStoreContract, IAsyncDisposable
{
    private const string Variable = "LOCALLLM_TEST_POSTGRES";

    private readonly string _schema = $"test_{Guid.NewGuid():N}";
    private readonly List<PostgresPassageStore> _stores = [];

    [Fact]
    public async Task A_server_that_does_not_answer_is_reported()
    {
        var store = new PostgresPassageStore(At("Host=127.0.0.1;Port=1;Timeout=2"));
        var failure = await Assert.ThrowsAsync<RagException>(() => store.OpenAsync(new("model", 2), Token));
        Assert.Contains("does not answer", failure.Message, StringComparison.Ordinal);
        Assert.Throws<RagException>(() => new PostgresPassageStore(At("no connection string")));
    }

    [Fact]
    public async Task A_schema_of_another_program_is_refused_and_not_changed()
    {
        var store = Open();
        await using var source = NpgsqlDataSource.Create(Environment.GetEnvironmentVariable(Variable)!);
        await using var make = source.CreateCommand($"CREATE SCHEMA {_schema}; CREATE TABLE {_schema}.store (goods int)");
        await make.ExecuteNonQueryAsync(Token);
        var failure = await Assert.ThrowsAsync<RagException>(() => store.OpenAsync(new("model", 2), Token));
        Assert.Contains("another program's tables", failure.Message, StringComparison.Ordinal);
        await using var count = source.CreateCommand($"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{_schema}'");
        Assert.Equal(1L, await count.ExecuteScalarAsync(Token));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var store in _stores)
            await store.DisposeAsync();
        if (_stores.Count == 0)
            return;
        await using var source = NpgsqlDataSource.Create(Environment.GetEnvironmentVariable(Variable)!);
        await using var command = source.CreateCommand($"DROP SCHEMA IF EXISTS {_schema} CASCADE");
        await command.ExecuteNonQueryAsync();
    }

    private protected override IPassageStore Open()
    {
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 0 } connection)
        {
            Assert.Skip($"no PostgreSQL with pgvector: set {Variable} to a connection string");
            throw new InvalidOperationException();
        }

        _stores.Add(new(At(connection)));
        return _stores[^1];
    }

    private IOptions<RagOptions> At(string connection) => Options.Create(new RagOptions { Store = { Kind = StoreKind.Postgres, ConnectionString = connection, Schema = _schema } });
}
