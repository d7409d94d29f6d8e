using System.Data;
using System.Data.Common;
using System.Globalization;
using LocalLlm.Samples.Rag.Documents;
using LocalLlm.Samples.Rag.Questions;
using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Storage;

/// <summary>
/// A store in a relational database: documents → passages → entries (a passage's own text, and each of its questions), and for each token
/// the entries that have it. SQLite and PostgreSQL differ in their types and in how they compare dense vectors.
/// </summary>
internal abstract class SqlPassageStore : IPassageStore
{
    // Increases when the tables change.
    private const int LayoutVersion = 2;

    /// <summary>The statements that create the tables if they do not exist.</summary>
    protected abstract string CreateTables(int dimensions);

    /// <summary>The best similarity of a passage's entries to @dense, for ORDER BY, best first.</summary>
    protected abstract string DenseOrder { get; }

    /// <summary>The query's tokens and weights as a table with columns token and weight.</summary>
    protected abstract string QueryTokens { get; }

    /// <inheritdoc/>
    public abstract string Place { get; }

    /// <summary>A query for one row: how many tables and other objects exist, and whether one is ours.</summary>
    protected abstract string Inventory { get; }

    /// <summary>Creates what the tables depend on.</summary>
    protected virtual Task PrepareAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    protected abstract Task<DbConnection> ConnectAsync(CancellationToken cancellationToken);

    protected abstract object DenseValue(float[] dense);

    protected abstract float[] ReadDense(DbDataReader reader, int column);

    /// <summary>Adds the parameters that <see cref="QueryTokens"/> reads.</summary>
    protected abstract void AddTokens(DbCommand command, int[] tokens, float[] weights);

    public async Task OpenAsync(StoredModel model, CancellationToken cancellationToken)
    {
        var found = string.Create(CultureInfo.InvariantCulture, $"{model.Name}, {model.Dimensions} dimensions, layout {LayoutVersion}");
        var stored = await GuardedAsync(async () =>
        {
            await PrepareAsync(cancellationToken);
            await using var connection = await ConnectAsync(cancellationToken);
            await ExecuteAsync(connection, CreateTables(model.Dimensions), cancellationToken);
            await ExecuteAsync(connection, "INSERT INTO store (id, made_by) VALUES (1, @found) ON CONFLICT (id) DO NOTHING", cancellationToken, ("@found", found));
            await using var command = Command(connection, "SELECT made_by FROM store");
            return (string)(await command.ExecuteScalarAsync(cancellationToken))!;
        });

        var made = $"{model.Name}, {model.Dimensions} dimensions, ";
        if (stored != found && stored.StartsWith(made, StringComparison.Ordinal))
            throw new RagException($"the store {Place} was made by another version of this program ({stored[made.Length..]}; this one reads layout {LayoutVersion}). Remove it and ingest again, or name another store (--store).");
        if (stored != found)
            throw new RagException($"the store {Place} was made by the embedding model '{stored}', and now it is '{found}': their vectors cannot be compared. Name another store (--store), or remove this one and ingest again.");
    }

    public Task<string> ClaimAsync(string folder, CancellationToken cancellationToken) => GuardedAsync(async () =>
    {
        await using var connection = await ConnectAsync(cancellationToken);
        await ExecuteAsync(connection, "INSERT INTO source (id, folder) VALUES (1, @folder) ON CONFLICT (id) DO UPDATE SET folder = excluded.folder WHERE NOT EXISTS (SELECT 1 FROM documents)", cancellationToken, ("@folder", folder));
        await using var command = Command(connection, "SELECT folder FROM source");
        return (string)(await command.ExecuteScalarAsync(cancellationToken))!;
    });

    public Task<IReadOnlyList<StoredDocument>> GetDocumentsAsync(CancellationToken cancellationToken) => GuardedAsync<IReadOnlyList<StoredDocument>>(async () =>
    {
        await using var connection = await ConnectAsync(cancellationToken);
        await using var command = Command(connection, "SELECT name, fingerprint, passages, questions FROM documents ORDER BY name");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var documents = new List<StoredDocument>();
        while (await reader.ReadAsync(cancellationToken))
            documents.Add(new(reader.GetString(0), reader.GetString(1), reader.GetInt32(2), reader.GetInt32(3)));
        return documents;
    });

    public Task ReplaceAsync(StoredDocument document, IReadOnlyList<EmbeddedPassage> passages, CancellationToken cancellationToken) => GuardedAsync(async () =>
    {
        await using var connection = await ConnectAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await ExecuteAsync(connection, "DELETE FROM documents WHERE name = @name", cancellationToken, ("@name", document.Name));
        await ExecuteAsync(
            connection,
            "INSERT INTO documents (name, fingerprint, passages, questions) VALUES (@name, @fingerprint, @passages, @questions)",
            cancellationToken,
            ("@name", document.Name), ("@fingerprint", document.Fingerprint), ("@passages", document.Passages), ("@questions", document.Questions));
        foreach (var (passage, vectors, questions) in passages)
        {
            var id = await InsertAsync(
                connection,
                "INSERT INTO passages (document, ordinal, heading, is_heading_embedded, places, text) VALUES (@document, @ordinal, @heading, @embedded, @places, @text) RETURNING id",
                cancellationToken,
                ("@document", passage.Document), ("@ordinal", passage.Ordinal), ("@heading", passage.Heading), ("@embedded", passage.IsHeadingEmbedded ? 1 : 0), ("@places", passage.Places?.ToString()), ("@text", passage.Text));
            await AddEntryAsync(connection, id, null, vectors, cancellationToken);
            foreach (var question in questions)
                await AddEntryAsync(connection, id, question.Pair, question.Vectors, cancellationToken);
        }

        await transaction.CommitAsync(cancellationToken);
        return true;
    });

    public Task RemoveAsync(string name, CancellationToken cancellationToken) => GuardedAsync(async () =>
    {
        await using var connection = await ConnectAsync(cancellationToken);
        await ExecuteAsync(connection, "DELETE FROM documents WHERE name = @name", cancellationToken, ("@name", name));
        return true;
    });

    public Task<IReadOnlyList<EmbeddedPassage>> FindCandidatesAsync(TextVectors query, int count, CancellationToken cancellationToken) => GuardedAsync<IReadOnlyList<EmbeddedPassage>>(async () =>
    {
        await using var connection = await ConnectAsync(cancellationToken);
        await using var dense = Command(connection, $"SELECT passage FROM entries GROUP BY passage ORDER BY {DenseOrder}, passage LIMIT @count", ("@dense", DenseValue(query.Dense)), ("@count", count));
        await using var sparse = Command(
            connection,
            $"""
             SELECT passage FROM (
                 SELECT entries.id, entries.passage, SUM(tokens.weight * query.weight) AS score
                 FROM {QueryTokens} JOIN tokens ON tokens.token = query.token JOIN entries ON entries.id = tokens.entry
                 GROUP BY entries.id, entries.passage) AS scored
             GROUP BY passage ORDER BY MAX(score) DESC, passage LIMIT @count
             """,
            ("@count", count));
        AddTokens(sparse, query.SparseTokens, query.SparseWeights);
        var ids = new HashSet<long>();
        foreach (var command in new[] { dense, sparse })
        {
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
                ids.Add(reader.GetInt64(0));
        }

        return ids.Count == 0 ? [] : await ReadAsync(connection, ids, cancellationToken);
    });

    /// <summary>Refuses a database of another program, before anything is written.</summary>
    protected async Task RefuseForeignAsync(DbConnection connection, CancellationToken cancellationToken)
    {
        await using var command = Command(connection, Inventory);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        if (reader.GetInt64(0) > 0 && reader.GetInt64(1) == 0)
            throw new RagException($"{Place} holds another program's tables, and no store of this one; nothing was changed. Name another store (--store).");
    }

    /// <summary>Reports all of a database's failures (a full disk, a lock that another process holds) in the same way.</summary>
    private async Task<T> GuardedAsync<T>(Func<Task<T>> action)
    {
        try
        {
            return await action();
        }
        catch (DbException failure)
        {
            throw new RagException($"the store {Place} cannot be used: {failure.Message.TrimEnd('.')}. Make sure that the disk has room and that no other program keeps it locked; or name another store (--store), or remove this one.", failure);
        }
    }

    private async Task<IReadOnlyList<EmbeddedPassage>> ReadAsync(DbConnection connection, IEnumerable<long> ids, CancellationToken cancellationToken)
    {
        await using var command = Command(
            connection,
            $"""
             SELECT passages.id, document, ordinal, heading, is_heading_embedded, places, text, question, answer, dense, sparse_tokens, sparse_weights, token_vectors, token_width
             FROM passages JOIN entries ON entries.passage = passages.id
             WHERE passages.id IN ({string.Join(',', ids)}) ORDER BY document, ordinal, entries.id
             """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var (passages, last) = (new List<EmbeddedPassage>(), -1L);
        while (await reader.ReadAsync(cancellationToken))
        {
            var vectors = VectorBytes.Vectors(ReadDense(reader, 9), (byte[])reader[10], (byte[])reader[11], (byte[])reader[12], reader.GetInt32(13));
            // The first entry of a passage is its own text; its questions follow.
            if (reader.GetInt64(0) != last)
                passages.Add(new(new(reader.GetString(1), reader.GetInt32(2), reader.GetString(3), PlaceMap.Parse(reader.IsDBNull(5) ? null : reader.GetString(5)), reader.GetString(6)) { IsHeadingEmbedded = reader.GetInt32(4) != 0 }, vectors, new List<EmbeddedQuestion>()));
            else
                ((List<EmbeddedQuestion>)passages[^1].Questions).Add(new(new(reader.GetString(7), reader.GetString(8)), vectors));
            last = reader.GetInt64(0);
        }

        return passages;
    }

    private async Task AddEntryAsync(DbConnection connection, long passage, QuestionPair? pair, TextVectors vectors, CancellationToken cancellationToken)
    {
        var id = await InsertAsync(
            connection,
            """
            INSERT INTO entries (passage, question, answer, dense, sparse_tokens, sparse_weights, token_vectors, token_width)
            VALUES (@passage, @question, @answer, @dense, @tokens, @weights, @vectors, @width) RETURNING id
            """,
            cancellationToken,
            ("@passage", passage), ("@question", pair?.Question), ("@answer", pair?.Answer), ("@dense", DenseValue(vectors.Dense)),
            ("@tokens", VectorBytes.Of(vectors.SparseTokens)), ("@weights", VectorBytes.Of(vectors.SparseWeights)), ("@vectors", VectorBytes.Of<float>([.. vectors.TokenVectors.SelectMany(vector => vector)])), ("@width", vectors.TokenVectors.FirstOrDefault()?.Length ?? 0));
        await using var tokens = Command(connection, $"INSERT INTO tokens (token, entry, weight) SELECT query.token, @entry, query.weight FROM {QueryTokens}", ("@entry", id));
        AddTokens(tokens, vectors.SparseTokens, vectors.SparseWeights);
        await tokens.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async Task<long> InsertAsync(DbConnection connection, string sql, CancellationToken cancellationToken, params (string Name, object? Value)[] parameters)
    {
        await using var command = Command(connection, sql, parameters);
        return Convert.ToInt64(await command.ExecuteScalarAsync(cancellationToken), CultureInfo.InvariantCulture);
    }

    private static async Task ExecuteAsync(DbConnection connection, string sql, CancellationToken cancellationToken, params (string Name, object? Value)[] parameters)
    {
        await using var command = Command(connection, sql, parameters);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    // Microsoft.Data.Sqlite requires that a command names the open transaction; its connection's CreateCommand does that.
    private static DbCommand Command(DbConnection connection, string sql, params (string Name, object? Value)[] parameters)
    {
        var command = connection.CreateCommand();
        command.CommandText = sql;
        foreach (var (name, value) in parameters)
        {
            var parameter = command.CreateParameter();
            parameter.ParameterName = name;
            parameter.Value = value ?? DBNull.Value;
            // A null has no type of its own.
            if (value is null)
                parameter.DbType = DbType.String;
            command.Parameters.Add(parameter);
        }

        return command;
    }
}
