namespace LocalLlm;

/// <content>Scores of pairs of texts, from the embeddings of both.</content>
public sealed partial class EmbeddingEngine
{
    // Vectors of tokens are held until they are compared, a few requests' at once: memory has a bound, however many ask.
    private const int ScoringsAtOnce = 4;

    // Tokens of a request so small that it need not wait for large ones.
    private const int SmallScoring = 2048;
    private const int SmallScoringsAtOnce = 32;

    // The device computes further texts while one is compared.
    private const int BatchesAhead = 2;
    private const int MaxTokensAhead = 16_384;

    private readonly SemaphoreSlim _scorings = new(ScoringsAtOnce);
    private readonly SemaphoreSlim _smallScorings = new(SmallScoringsAtOnce);

    /// <summary>
    /// Scores pairs of texts by <see cref="TextEmbedding.HybridScore"/>. Texts are compared while others are computed; few of their vectors
    /// are held at a time.
    /// </summary>
    /// <param name="queries">One for all passages, or one for each.</param>
    /// <param name="passages">At least one.</param>
    /// <param name="weights">How much each kind of score counts; null: <see cref="HybridWeights.Default"/> as far as the model
    /// goes.</param>
    /// <param name="truncate">Whether a text that is too long is cut at its end; otherwise it is refused.</param>
    /// <param name="cancellationToken">Gives up what has not been computed.</param>
    /// <returns>A score for each passage, in their order.</returns>
    /// <exception cref="EngineException">InvalidRequest or ContextLengthExceeded: all texts are refused together; ShuttingDown; EngineDead;
    /// GenerationFailed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task<TextScores> ScoreAsync(IReadOnlyList<string> queries, IReadOnlyList<string> passages, HybridWeights? weights = null, bool truncate = false, CancellationToken cancellationToken = default) =>
        ScorePairsAsync(queries, passages, new() { Weights = weights, CutQueriesAt = truncate ? MaxModelLen : null, CutPassagesAt = truncate ? MaxModelLen : null }, cancellationToken);

    /// <summary>Orders documents by how well they answer a query.</summary>
    /// <param name="query">The query.</param>
    /// <param name="documents">At least one.</param>
    /// <param name="top">How many are given back; null: all.</param>
    /// <param name="weights">How much each kind of score counts; null: <see cref="HybridWeights.Default"/> as far as the model
    /// goes.</param>
    /// <param name="truncate">Whether a text that is too long is cut at its end; otherwise it is refused.</param>
    /// <param name="cancellationToken">Gives up what has not been computed.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="top"/> is below 1.</exception>
    /// <inheritdoc cref="ScoreAsync(IReadOnlyList{string}, IReadOnlyList{string}, HybridWeights?, bool, CancellationToken)" path="/exception"/>
    public Task<RankedTexts> RerankAsync(string query, IReadOnlyList<string> documents, int? top = null, HybridWeights? weights = null, bool truncate = false, CancellationToken cancellationToken = default) =>
        RankAsync(query, documents, top, new() { Weights = weights, CutQueriesAt = truncate ? MaxModelLen : null, CutPassagesAt = truncate ? MaxModelLen : null }, cancellationToken);

    /// <summary>As <see cref="RerankAsync"/>, with a length at which queries are cut, and another for documents.</summary>
    /// <param name="query">The query.</param>
    /// <param name="documents">At least one.</param>
    /// <param name="top">How many are given back; null: all.</param>
    /// <param name="options">Weights, and where texts are cut; what it calls queries and passages is not used.</param>
    /// <param name="cancellationToken">Gives up what has not been computed.</param>
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
        // Stable: of equals the first stays the first.
        var ranked = scored.Scores.Select((score, index) => new RankedText(index, score)).OrderByDescending(document => document.Score).Take(top ?? int.MaxValue);
        return new([.. ranked], scored.TokenCount);
    }

    /// <summary>
    /// As <see cref="ScoreAsync"/>, with a length at which queries are cut, another for passages, and the names that errors use.
    /// </summary>
    /// <param name="queries">One for all passages, or one for each.</param>
    /// <param name="passages">At least one.</param>
    /// <param name="options">Weights, where texts are cut, and what errors call them.</param>
    /// <param name="cancellationToken">Gives up what has not been computed.</param>
    /// <returns>A score for each passage, in their order.</returns>
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
            throw EngineException.InvalidRequest("weights", $"weights count {missing}, which '{ModelName}' does not make; it makes {Kinds}");
        // Tokens and comparisons are work for a processor, and the caller's thread may be that of a window or of a socket.
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
        // One for all passages is computed in the step of the first of them.
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
            // The caller gets the first failure; those of texts that were computed ahead are the same.
            foreach (var made in ahead.Select(one => one.Made).Append(shared).OfType<Task>())
                await made.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static double Finite(double score) => double.IsFinite(score)
        ? score
        : throw new EngineException(EngineErrorKind.GenerationFailed, "The model made a score that is no number; its weights are damaged, or need another dtype, such as bfloat16 or float32.");
}
