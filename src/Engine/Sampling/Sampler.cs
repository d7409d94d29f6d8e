using System.Collections.Concurrent;

namespace LocalLlm.Sampling;

/// <summary>
/// Chooses the next token of each row of logits, in the order of vLLM's V1 sampler:
/// <list type="number">
/// <item>raw log-probabilities are those of the model's own logits, before any processing;</item>
/// <item>grammar mask and allowed_token_ids, bad_words, min_tokens, logit_bias, penalties (<see cref="LogitsProcessors"/>);</item>
/// <item>greedy: the largest logit, the lowest id among equal ones;</item>
/// <item>otherwise temperature, min_p, top_k, top_p, and one draw (<see cref="Categorical"/>);</item>
/// <item>processed log-probabilities are those of the distribution that the token was drawn from.</item>
/// </list>
/// </summary>
/// <remarks>
/// A row's result depends only on its logits and its sequence, never on the batch. Logits are read, not changed. Rows with NaN, +Infinity
/// or only -Infinity yield an error for that row. Thread-safe for distinct states; scratch memory is pooled per concurrent row, and a
/// step without log-probabilities allocates nothing.
/// </remarks>
internal sealed class Sampler(int vocabularySize, LogprobsMode logprobsMode = LogprobsMode.RawLogprobs)
{
    private readonly ConcurrentBag<SamplerScratch> _scratch = [];

    /// <summary>The width of every row.</summary>
    public int VocabularySize { get; } = vocabularySize;

    /// <summary>Samples one row.</summary>
    /// <param name="logits">[vocab].</param>
    /// <param name="state">The row's sequence; the caller appends the token to it.</param>
    public SampledToken SampleRow(ReadOnlySpan<float> logits, SamplingState state)
    {
        var scratch = Rent(logits);
        try
        {
            return SampleRow(logits, state, scratch);
        }
        finally
        {
            _scratch.Add(scratch);
        }
    }

    /// <summary>The log-probabilities of a prompt position.</summary>
    /// <param name="logits">[vocab], the model's logits at the position.</param>
    /// <param name="nextTokenId">The next token of the prompt.</param>
    /// <param name="count">How many of the best tokens to return; already validated.</param>
    /// <exception cref="EngineException">The logits are not finite (<see cref="EngineErrorKind.GenerationFailed"/>).</exception>
    public TokenLogprobs PromptLogprobs(ReadOnlySpan<float> logits, int nextTokenId, int count)
    {
        var scratch = Rent(logits);
        try
        {
            scratch.RawScan.Scan(logits);
            if (!scratch.RawScan.IsValid)
                throw SampledToken.Failed(SampleError.NonFiniteLogits).ToFailure()!.ToException();
            return LogprobsReader.Read(logits, scratch.RawScan, 1, nextTokenId, count, AsLogits, scratch);
        }
        finally
        {
            _scratch.Add(scratch);
        }
    }

    private bool AsLogits => logprobsMode is LogprobsMode.RawLogits or LogprobsMode.ProcessedLogits;

    private bool IsProcessed => logprobsMode is LogprobsMode.ProcessedLogits or LogprobsMode.ProcessedLogprobs;

    private SamplerScratch Rent(ReadOnlySpan<float> logits)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(logits.Length, VocabularySize);
        return _scratch.TryTake(out var scratch) ? scratch : new SamplerScratch(VocabularySize);
    }

    private SampledToken SampleRow(ReadOnlySpan<float> logits, SamplingState state, SamplerScratch scratch)
    {
        var sampling = state.Sampling;
        var scan = scratch.RawScan;
        scan.Scan(logits);
        if (!scan.IsValid)
            return SampledToken.Failed(SampleError.NonFiniteLogits);

        var row = logits;
        if (LogitsProcessors.AreActive(state))
        {
            LogitsProcessors.Apply(logits, scratch.Row, state);
            row = scratch.Row;
            scan = scratch.ProcessedScan;
            scan.Scan(row);
            if (!scan.IsValid)
                return SampledToken.Failed(SampleError.NoTokenAllowed, state.GrammarFailure);
        }

        var cut = Cut.None;
        var token = sampling.IsGreedy
            ? scan.ArgMax(row)
            : Categorical.Draw(row, scan, sampling, state.NextUniform, scratch, out cut);
        if (sampling.Logprobs is not { } count)
            return new SampledToken(token);
        if (!IsProcessed)
            return new SampledToken(token, LogprobsReader.Read(logits, scratch.RawScan, 1, token, count, AsLogits, scratch));
        return new SampledToken(token, ReadProcessed(row, scan, cut, sampling, token, count, scratch));
    }

    private TokenLogprobs ReadProcessed(
        ReadOnlySpan<float> row, RowScan scan, Cut cut, ValidatedSampling sampling, int token, int count, SamplerScratch scratch)
    {
        if (cut != Cut.None)
        {
            for (var id = 0; id < row.Length; id++)
                scratch.Row[id] = cut.Keeps(row[id], id) ? row[id] : float.NegativeInfinity;
            row = scratch.Row;
            scan = scratch.ProcessedScan;
            scan.Scan(row);
        }

        var scale = sampling.IsGreedy ? 1 : 1 / sampling.Temperature;
        return LogprobsReader.Read(row, scan, scale, token, count, AsLogits, scratch);
    }
}
