using System.Data.Common;
using LocalLlm.Samples.Rag.Configuration;
using Microsoft.Extensions.Options;
using Npgsql;
using NpgsqlTypes;
using Pgvector;

namespace LocalLlm.Samples.Rag.Storage;

/// <summary>
/// PostgreSQL with the extension vector (pgvector). Its dense search is exact too; the README describes an index for millions of passages.
/// </summary>
internal sealed class PostgresPassageStore : SqlPassageStore, IAsyncDisposable
{
    private readonly NpgsqlDataSource _source;
    private readonly string _schema;

    public PostgresPassageStore(IOptions<RagOptions> options)
    {
        _schema = options.Value.Store.Schema;
        try
        {
            var builder = new NpgsqlDataSourceBuilder(options.Value.Store.ConnectionString);
            builder.ConnectionStringBuilder.SearchPath = $"{_schema},public";
            builder.UseVector();
            _source = builder.Build();
        }
        catch (ArgumentException failure)
        {
            throw new RagException($"Rag:Store:ConnectionString is no connection string: {failure.Message.TrimEnd('.')}. Give one such as \"Host=localhost;Database=rag;Username=rag\".", failure);
        }
    }

    protected override string DenseOrder => "MIN(dense <#> @dense)";

    protected override string QueryTokens => "unnest(@query_tokens, @query_weights) AS query (token, weight)";

    public override string Place => $"in the PostgreSQL schema '{_schema}'";

    protected override string Inventory =>
        $"""
         SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{_schema}'),
             (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = '{_schema}' AND table_name = 'store' AND column_name = 'made_by')
         """;

    protected override string CreateTables(int dimensions) =>
        $"""
         CREATE TABLE IF NOT EXISTS store (id int PRIMARY KEY, made_by text NOT NULL);
         CREATE TABLE IF NOT EXISTS source (id int PRIMARY KEY, folder text NOT NULL);
         CREATE TABLE IF NOT EXISTS documents (name text PRIMARY KEY, fingerprint text NOT NULL, passages int NOT NULL, questions int NOT NULL);
         CREATE TABLE IF NOT EXISTS passages (
             id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, document text NOT NULL REFERENCES documents ON DELETE CASCADE, ordinal int NOT NULL,
             heading text NOT NULL, is_heading_embedded int NOT NULL, places text, text text NOT NULL);
         CREATE INDEX IF NOT EXISTS passages_document ON passages (document);
         CREATE TABLE IF NOT EXISTS entries (
             id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, passage bigint NOT NULL REFERENCES passages ON DELETE CASCADE, question text, answer text, dense vector({dimensions}) NOT NULL,
             sparse_tokens bytea NOT NULL, sparse_weights bytea NOT NULL, token_vectors bytea NOT NULL, token_width int NOT NULL);
         CREATE INDEX IF NOT EXISTS entries_passage ON entries (passage);
         CREATE TABLE IF NOT EXISTS tokens (token int NOT NULL, entry bigint NOT NULL REFERENCES entries ON DELETE CASCADE, weight real NOT NULL, PRIMARY KEY (token, entry));
         CREATE INDEX IF NOT EXISTS tokens_entry ON tokens (entry);
         """;

    public ValueTask DisposeAsync() => _source.DisposeAsync();

    protected override async Task PrepareAsync(CancellationToken cancellationToken)
    {
        await using var connection = (NpgsqlConnection)await ConnectAsync(cancellationToken);
        await RefuseForeignAsync(connection, cancellationToken);
        await using var command = connection.CreateCommand();
        // Two processes that start at once would both try to create the same objects.
        command.CommandText = $"SELECT pg_advisory_lock(hashtext('{_schema}')); CREATE SCHEMA IF NOT EXISTS {_schema}; CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public; SELECT pg_advisory_unlock(hashtext('{_schema}'))";
        try
        {
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
        catch (PostgresException failure)
        {
            throw new RagException($"PostgreSQL refuses the schema '{_schema}' or the extension vector: {failure.MessageText}. Install pgvector on the server, and let an administrator run CREATE EXTENSION vector.", failure);
        }

        // A connection knows the type vector only after the extension exists.
        await connection.ReloadTypesAsync(cancellationToken);
    }

    protected override async Task<DbConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _source.OpenConnectionAsync(cancellationToken);
        }
        catch (Exception failure) when (failure is NpgsqlException or System.Net.Sockets.SocketException)
        {
            throw new RagException($"PostgreSQL does not answer: {failure.Message.TrimEnd('.')}. Check Rag:Store:ConnectionString, and that the server runs.", failure);
        }
    }

    protected override object DenseValue(float[] dense) => new Vector(dense);

    protected override float[] ReadDense(DbDataReader reader, int column) => ((NpgsqlDataReader)reader).GetFieldValue<Vector>(column).ToArray();

    protected override void AddTokens(DbCommand command, int[] tokens, float[] weights)
    {
        command.Parameters.Add(new NpgsqlParameter("@query_tokens", NpgsqlDbType.Array | NpgsqlDbType.Integer) { Value = tokens });
        command.Parameters.Add(new NpgsqlParameter("@query_weights", NpgsqlDbType.Array | NpgsqlDbType.Real) { Value = weights });
    }
}
