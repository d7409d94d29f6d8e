namespace LocalLlm;

/// <content>Scores pairs of texts from the embeddings of both.</content>
public sealed partial class EmbeddingEngine
{
    // The vectors of a text's tokens are held until they are compared. A limit on concurrent requests bounds that memory, however many
    // ask.
    private const int ScoringsAtOnce = 4;

    // Requests with at most this many tokens are small: they need not wait for large ones.
    private const int SmallScoring = 2048;
    private const int SmallScoringsAtOnce = 32;

    // The device computes the next texts while the current pair is compared.
    private const int BatchesAhead = 2;
    private const int MaxTokensAhead = 16_384;

    private readonly SemaphoreSlim _scorings = new(ScoringsAtOnce);
    private readonly SemaphoreSlim _smallScorings = new(SmallScoringsAtOnce);

    /// <summary>
    /// Scores pairs of texts by <see cref="TextEmbedding.HybridScore"/>. Compares texts while the device computes the next ones, and holds
    /// the vectors of only a few at a time.
    /// </summary>
    /// <param name="queries">One query for all passages, or one for each.</param>
    /// <param name="passages">At least one.</param>
    /// <param name="weights">The weight of each kind of score; null: <see cref="HybridWeights.Default"/> without the kinds that the model
    /// lacks.</param>
    /// <param name="truncate">Whether a text that is too long is cut at its end; if false, it is refused.</param>
    /// <param name="cancellationToken">Cancels what has not been computed yet.</param>
    /// <returns>A score for each passage, in the order of the passages.</returns>
    /// <exception cref="EngineException">InvalidRequest or ContextLengthExceeded (all texts are refused together), ShuttingDown,
    /// EngineDead or GenerationFailed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task<TextScores> ScoreAsync(IReadOnlyList<string> queries, IReadOnlyList<string> passages, HybridWeights? weights = null, bool truncate = false, CancellationToken cancellationToken = default) =>
        ScorePairsAsync(queries, passages, new() { Weights = weights, CutQueriesAt = truncate ? MaxModelLen : null, CutPassagesAt = truncate ? MaxModelLen : null }, cancellationToken);

    /// <summary>Orders documents by how well they answer a query.</summary>
    /// <param name="query">The query.</param>
    /// <param name="documents">At least one.</param>
    /// <param name="top">How many documents to return; null: all.</param>
    /// <param name="weights">The weight of each kind of score; null: <see cref="HybridWeights.Default"/> without the kinds that the model
    /// lacks.</param>
    /// <param name="truncate">Whether a text that is too long is cut at its end; if false, it is refused.</param>
    /// <param name="cancellationToken">Cancels what has not been computed yet.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="top"/> is below 1.</exception>
    /// <inheritdoc cref="ScoreAsync(IReadOnlyList{string}, IReadOnlyList{string}, HybridWeights?, bool, CancellationToken)" path="/exception"/>
    public Task<RankedTexts> RerankAsync(string query, IReadOnlyList<string> documents, int? top = null, HybridWeights? weights = null, bool truncate = false, CancellationToken cancellationToken = default) =>
        RankAsync(query, documents, top, new() { Weights = weights, CutQueriesAt = truncate ? MaxModelLen : null, CutPassagesAt = truncate ? MaxModelLen : null }, cancellationToken);

    /// <summary>Like <see cref="RerankAsync"/>, but with separate lengths at which queries and documents are cut.</summary>
    /// <param name="query">The query.</param>
    /// <param name="documents">At least one.</param>
    /// <param name="top">How many documents to return; null: all.</param>
    /// <param name="options">Weights, and where texts are cut. Its names for queries and passages are not used.</param>
    /// <param name="cancellationToken">Cancels what has not been computed yet.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="top"/> is below 1.</exception>
    /// <inheritdoc cref="ScoreAsync(IReadOnlyList{string}, IReadOnlyList{string}, HybridWeights?, bool, CancellationToken)" path="/exception"/>
    public async Task<RankedTexts> RankAsync(string query, IReadOnlyList<string> documents, int? top, ScoringOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(documents);
        if (top is { } wanted)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(wanted, nameof(top));
        var scored = await ScorePairsAsync([query], documents, options with { Queries = "query", Passages = "documents" }, cancellationToken).ConfigureAwait(false);
        // The sort is stable: documents with equal scores keep their order.
        var ranked = scored.Scores.Select((score, index) => new RankedText(index, score)).OrderByDescending(document => document.Score).Take(top ?? int.MaxValue);
        return new([.. ranked], scored.TokenCount);
    }

    /// <summary>
    /// Like <see cref="ScoreAsync"/>, but with separate lengths at which queries and passages are cut, and with the names that errors use.
    /// </summary>
    /// <param name="queries">One query for all passages, or one for each.</param>
    /// <param name="passages">At least one.</param>
    /// <param name="options">Weights, where texts are cut, and what errors call the queries and passages.</param>
    /// <param name="cancellationToken">Cancels what has not been computed yet.</param>
    /// <returns>A score for each passage, in the order of the passages.</returns>
    /// <inheritdoc cref="ScoreAsync(IReadOnlyList{string}, IReadOnlyList{string}, HybridWeights?, bool, CancellationToken)" path="/exception"/>
    public async Task<TextScores> ScorePairsAsync(IReadOnlyList<string> queries, IReadOnlyList<string> passages, ScoringOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(queries);
        ArgumentNullException.ThrowIfNull(passages);
        if (passages.Count == 0 || (queries.Count != 1 && queries.Count != passages.Count))
            throw EngineException.InvalidRequest(options.Queries, $"{options.Queries} and {options.Passages} have {queries.Count} and {passages.Count} texts; give one text for all {options.Passages}, or one for each of them");
        var counting = options.Weights ?? HybridWeights.Default.Within(Kinds)!;
        if ((counting.Kinds & ~Kinds) is var missing and not EmbeddingKinds.None)
            throw EngineException.InvalidRequest(
                "weights", $"weights use {missing}, which '{ModelName}' does not compute; it computes {Kinds}");
        // Tokenizing and comparing are CPU work, and the caller's thread may be a user interface's or a socket's.
        return await Task.Run(ComputeAsync, cancellationToken).ConfigureAwait(false);

        async Task<TextScores> ComputeAsync()
        {
            var asked = Tokens(queries, index => queries.Count == 1 ? options.Queries : $"{options.Queries}[{index}]", options.Queries, options.CutQueriesAt, cancellationToken);
            var answers = Tokens(passages, index => $"{options.Passages}[{index}]", options.Passages, options.CutPassagesAt, cancellationToken);
            var count = asked.Sum(ids => (long)ids.Length) + answers.Sum(ids => (long)ids.Length);
            var places = count <= SmallScoring ? _smallScorings : _scorings;
            await places.WaitAsync(cancellationToken).ConfigureAwait(false);
            try
            {
                return new(await ScoreTokensAsync(asked, answers, counting, cancellationToken).ConfigureAwait(false), count);
            }
            finally
            {
                places.Release();
            }
        }
    }

    private async Task<double[]> ScoreTokensAsync(int[][] queries, int[][] passages, HybridWeights weights, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var ahead = new Queue<(int Index, int Tokens, Task<IReadOnlyList<TextEmbedding>> Made)>();
        // A query shared by all passages is computed together with the first passage.
        var shared = queries.Length == 1 ? RunAsync(queries, weights.Kinds, stop.Token) : null;
        try
        {
            var scores = new double[passages.Length];
            var (next, tokens) = (0, 0L);
            while (next < passages.Length || ahead.Count > 0)
            {
                if (next < passages.Length && (ahead.Count == 0 || tokens < Math.Min((long)BatchesAhead * MaxBatchedTokens, MaxTokensAhead)))
                {
                    int[][] texts = shared is null ? [queries[next], passages[next]] : [passages[next]];
                    var length = texts.Sum(ids => ids.Length);
                    ahead.Enqueue((next++, length, RunAsync(texts, weights.Kinds, stop.Token)));
                    tokens += length;
                    continue;
                }

                var (index, taken, made) = ahead.Dequeue();
                var pair = await made.ConfigureAwait(false);
                var query = shared is null ? pair[0] : (await shared.ConfigureAwait(false))[0];
                scores[index] = Finite(TextEmbedding.Compare(query, pair[^1], weights, cancellationToken));
                tokens -= taken;
            }

            return scores;
        }
        finally
        {
            await stop.CancelAsync().ConfigureAwait(false);
            // The caller gets the first failure; failures of texts that were computed ahead have the same cause.
            foreach (var made in ahead.Select(one => one.Made).Append(shared).OfType<Task>())
                await made.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static double Finite(double score) => double.IsFinite(score)
        ? score
        : throw new EngineException(
            EngineErrorKind.GenerationFailed, "The model produced a score that is not finite; its weights are damaged, or need another dtype, such as bfloat16 or float32.");
}
