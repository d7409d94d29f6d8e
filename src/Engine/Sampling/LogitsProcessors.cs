namespace LocalLlm.Sampling;

/// <summary>
/// The processors that may change which token is best, in the order of vLLM's V1 sampler: ending a thought that has used up its budget,
/// the grammar mask (in a thought that a structure must follow: no end of the output), allowed_token_ids, bad_words,
/// min_tokens, logit_bias, penalties (repetition, then frequency, then presence).
/// Arithmetic is in double, rounded to float32 once per token.
/// </summary>
internal static class LogitsProcessors
{
    /// <summary>Whether <see cref="Apply"/> would change anything at the sequence's next position.</summary>
    public static bool AreActive(SamplingState state)
    {
        var sampling = state.Sampling;
        return state.ForcedTokenId is not null || !state.AllowedMask.IsEmpty || sampling.AllowedTokenIds is not null || sampling.BadWordsTokenIds.Length > 0
            || IsBelowMinTokens(state) || sampling.LogitBiasTokenIds.Length > 0 || sampling.HasPenalties;
    }

    /// <summary>Writes the processed logits of one row.</summary>
    /// <param name="logits">[vocab], finite or -Infinity; not changed.</param>
    /// <param name="row">[vocab], finite or -Infinity afterwards.</param>
    /// <param name="state">The row's sequence.</param>
    public static void Apply(ReadOnlySpan<float> logits, Span<float> row, SamplingState state)
    {
        var sampling = state.Sampling;
        if (state.ForcedTokenId is { } forced)
        {
            row.Fill(float.NegativeInfinity);
            row[forced] = 0;
            return;
        }

        if (sampling.AllowedTokenIds is { } allowed)
        {
            row.Fill(float.NegativeInfinity);
            foreach (var id in allowed)
                row[id] = logits[id];
        }
        else
        {
            logits.CopyTo(row);
        }

        if (!state.AllowedMask.IsEmpty)
            Mask(row, state.AllowedMask.Span);
        if (state.ThoughtOwingText is { } thought)
            EndThoughtInstead(logits, row, thought.Close, thought.Ends);
        foreach (var word in sampling.BadWordsTokenIds)
        {
            if (state.Tail.EndsWith(word.AsSpan(0, word.Length - 1)))
                row[word[^1]] = float.NegativeInfinity;
        }

        if (IsBelowMinTokens(state))
        {
            foreach (var id in sampling.MinTokensBanned)
                row[id] = float.NegativeInfinity;
        }

        for (var i = 0; i < sampling.LogitBiasTokenIds.Length; i++)
        {
            ref var logit = ref row[sampling.LogitBiasTokenIds[i]];
            logit = Rounded(logit + (double)sampling.LogitBiases[i], logit);
        }

        if (state.Counts is { } counts)
            Penalize(row, counts, sampling);
    }

    private static bool IsBelowMinTokens(SamplingState state) => state.OutputLength < state.Sampling.MinTokens;

    // If the model tries to end its output, it ends its thought instead, because the structure must still follow.
    private static void EndThoughtInstead(ReadOnlySpan<float> logits, Span<float> row, int close, IReadOnlyList<int> ends)
    {
        if (float.IsNegativeInfinity(row[close]))
            return;
        foreach (var end in ends)
            row[close] = Math.Max(row[close], logits[end]);
    }

    private static void Mask(Span<float> row, ReadOnlySpan<uint> mask)
    {
        for (var start = 0; start < row.Length; start += 32)
        {
            var part = row[start..Math.Min(start + 32, row.Length)];
            var word = start / 32 < mask.Length ? mask[start / 32] : 0;
            if (word == uint.MaxValue)
                continue;
            for (var i = 0; i < part.Length; i++)
            {
                if ((word >> i & 1) == 0)
                    part[i] = float.NegativeInfinity;
            }
        }
    }

    private static void Penalize(Span<float> row, TokenCounts counts, ValidatedSampling sampling)
    {
        var ids = counts.Ids;
        var occurrences = counts.Counts;
        double repetition = sampling.RepetitionPenalty, frequency = sampling.FrequencyPenalty, presence = sampling.PresencePenalty;
        for (var i = 0; i < ids.Length; i++)
        {
            // The tokenizer's vocabulary may be larger than a row, so a prompt may hold ids beyond it.
            if ((uint)ids[i] >= (uint)row.Length)
                continue;
            ref var logit = ref row[ids[i]];
            var value = logit > 0 ? logit / repetition : logit * repetition;
            value -= frequency * occurrences[i];
            if (occurrences[i] > 0)
                value -= presence;
            logit = Rounded(value, logit);
        }
    }

    /// <summary>Keeps a finite logit finite and a forbidden token at -Infinity, whatever the (valid) penalty or bias.</summary>
    private static float Rounded(double value, float before) =>
        float.IsNegativeInfinity(before) ? before : (float)Math.Clamp(value, float.MinValue, float.MaxValue);
}
