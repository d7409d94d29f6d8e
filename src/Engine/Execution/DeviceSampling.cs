using System.Runtime.InteropServices;
using LocalLlm.Ops;
using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>
/// Encodes a sequence's sampling for a device: what <see cref="LogitsProcessors"/> and <see cref="Categorical"/> do on the host.
/// </summary>
internal static class DeviceSampling
{
    /// <summary>Adds a sequence's row.</summary>
    /// <param name="batch">The step's batch.</param>
    /// <param name="state">The sequence's state.</param>
    /// <param name="outputPosition">Index of the token in the output.</param>
    public static void Add(SamplingBatch batch, SamplingState state, int outputPosition)
    {
        var sampling = state.Sampling;
        var draw = sampling.IsGreedy
            ? default
            : new TokenDraw(
                state.UniformAt(outputPosition),
                1 / sampling.Temperature,
                sampling.TopP,
                sampling.MinP > 0 ? sampling.Temperature * Math.Log(sampling.MinP) : double.NegativeInfinity,
                sampling.TopK);
        if (state.ForcedTokenId is { } forced)
        {
            batch.Data.Add(forced);
            batch.Add(default, new() { AllowedStart = batch.Data.Count - 1, AllowedCount = 1, RepetitionPenalty = 1 });
            return;
        }

        var isBelowMinTokens = outputPosition < sampling.MinTokens;
        if (!state.Sampling.NeedsHistory && state.AllowedMask.IsEmpty && sampling.AllowedTokenIds is null && sampling.LogitBiasTokenIds.Length == 0 && !isBelowMinTokens)
        {
            batch.Add(draw);
            return;
        }

        var edits = new TokenEdits
        {
            AllowedCount = -1,
            RepetitionPenalty = sampling.RepetitionPenalty,
            FrequencyPenalty = sampling.FrequencyPenalty,
            PresencePenalty = sampling.PresencePenalty,
        };
        var data = batch.Data;
        (edits.MaskStart, edits.MaskWords) = Append(MemoryMarshal.Cast<uint, int>(state.AllowedMask.Span));
        if (sampling.AllowedTokenIds is { } allowed)
            (edits.AllowedStart, edits.AllowedCount) = Append(allowed);
        edits.BannedStart = data.Count;
        foreach (var word in sampling.BadWordsTokenIds)
        {
            if (state.Tail.EndsWith(word.AsSpan(0, word.Length - 1)))
                data.Add(word[^1]);
        }

        if (isBelowMinTokens)
            data.AddRange(sampling.MinTokensBanned);
        edits.BannedCount = data.Count - edits.BannedStart;
        (edits.BiasStart, edits.BiasCount) = Append(sampling.LogitBiasTokenIds);
        data.AddRange(MemoryMarshal.Cast<float, int>(sampling.LogitBiases));
        if (state.Counts is { } counts)
        {
            (edits.CountsStart, edits.CountsCount) = Append(counts.Ids);
            data.AddRange(counts.Counts);
        }

        batch.Add(draw, edits);

        (int Start, int Count) Append(ReadOnlySpan<int> items)
        {
            var start = data.Count;
            data.AddRange(items);
            return (start, items.Length);
        }
    }
}
