using System.Data.Common;
using System.Numerics.Tensors;
using System.Text.Json;
using LocalLlm.Samples.Rag.Configuration;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Storage;

/// <summary>
/// A store in one file. SQLite calls a function of this process to compare each dense vector: the search is exact, and 100,000 vectors of
/// 1,024 numbers take a third of a second.
/// </summary>
internal sealed class SqlitePassageStore(IOptions<RagOptions> options) : SqlPassageStore
{
    private readonly string _path = Path.GetFullPath(options.Value.Store.Path);

    protected override string DenseOrder => "MAX(dot(dense, @dense)) DESC";

    protected override string QueryTokens => "(SELECT value ->> 0 AS token, value ->> 1 AS weight FROM json_each(@query)) AS query";

    public override string Place => $"'{_path}'";

    protected override string Inventory => "SELECT (SELECT COUNT(*) FROM sqlite_master), (SELECT COUNT(*) FROM pragma_table_info('store') WHERE name = 'made_by')";

    protected override string CreateTables(int dimensions) =>
        """
        CREATE TABLE IF NOT EXISTS store (id INTEGER PRIMARY KEY, made_by TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS source (id INTEGER PRIMARY KEY, folder TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, passages INTEGER NOT NULL, questions INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS passages (
            id INTEGER PRIMARY KEY, document TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, ordinal INTEGER NOT NULL,
            heading TEXT NOT NULL, is_heading_embedded INTEGER NOT NULL, places TEXT, text TEXT NOT NULL);
        CREATE INDEX IF NOT EXISTS passages_document ON passages (document);
        CREATE TABLE IF NOT EXISTS entries (
            id INTEGER PRIMARY KEY, passage INTEGER NOT NULL REFERENCES passages ON DELETE CASCADE, question TEXT, answer TEXT, dense BLOB NOT NULL,
            sparse_tokens BLOB NOT NULL, sparse_weights BLOB NOT NULL, token_vectors BLOB NOT NULL, token_width INTEGER NOT NULL);
        CREATE INDEX IF NOT EXISTS entries_passage ON entries (passage);
        CREATE TABLE IF NOT EXISTS tokens (token INTEGER NOT NULL, entry INTEGER NOT NULL REFERENCES entries ON DELETE CASCADE, weight REAL NOT NULL, PRIMARY KEY (token, entry)) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS tokens_entry ON tokens (entry);
        """;

    protected override async Task<DbConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
            var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = _path, ForeignKeys = true }.ConnectionString);
            connection.CreateFunction("dot", (byte[] a, byte[] b) => (double)TensorPrimitives.Dot(VectorBytes.Floats(a), VectorBytes.Floats(b)), isDeterministic: true);
            await connection.OpenAsync(cancellationToken);
            return connection;
        }
        catch (Exception failure) when (failure is SqliteException or IOException or UnauthorizedAccessException)
        {
            throw new RagException($"the store '{_path}' cannot be opened: {failure.Message.TrimEnd('.')}. Name a file that can be written (--store, Rag:Store:Path).", failure);
        }
    }

    protected override async Task PrepareAsync(CancellationToken cancellationToken)
    {
        if (!File.Exists(_path))
            return;
        // The check must write nothing, not even what a journal beside the file would cause.
        await using var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = _path, Mode = SqliteOpenMode.ReadOnly, Pooling = false }.ConnectionString);
        await connection.OpenAsync(cancellationToken);
        await RefuseForeignAsync(connection, cancellationToken);
    }

    protected override object DenseValue(float[] dense) => VectorBytes.Of(dense);

    protected override float[] ReadDense(DbDataReader reader, int column) => VectorBytes.Read<float>((byte[])reader[column]);

    protected override void AddTokens(DbCommand command, int[] tokens, float[] weights)
    {
        var pairs = tokens.Zip(weights, (token, weight) => new object[] { token, weight });
        command.Parameters.Add(new SqliteParameter("@query", JsonSerializer.Serialize(pairs)));
    }
}
