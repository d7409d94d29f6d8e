using System.Text.Json.Serialization;

namespace LocalLlm.Execution;

/// <summary>One sequence's part of a step: a run of consecutive positions to compute. Plain data.</summary>
/// <param name="SequenceId">The sequence.</param>
/// <param name="FirstPosition">Position of the first token of <paramref name="TokenIds"/>; all earlier ones are in the KV cache.</param>
/// <param name="PromptLength">Length of the sequence's prompt.</param>
/// <param name="TokenIds">
/// The tokens to compute, at least one, followed by the drafts. A single <see cref="UnknownToken"/> stands for the token that a step in
/// flight samples for the sequence.
/// </param>
/// <param name="BlockTable">
/// The blocks of all positions up to the last token's, in order; position p is at slot p % block size of block p / block size.
/// </param>
/// <param name="SamplesToken">Whether the last token here (without drafts) is the last known one, so that its logits choose the
/// next.</param>
/// <param name="NeedsPromptLogits">Whether the logits of all prompt positions in this part are requested.</param>
/// <param name="NumDrafts">
/// How many of the last tokens here are drafts: guesses of the tokens to be sampled. A token is also sampled after each draft as long as
/// all drafts before were right. Above 0 only if a token is sampled and no other step in flight holds the sequence.
/// </param>
/// <param name="NextTokenId">
/// The token after the last one here (without drafts) if it is already known (a prompt in chunks, output that is recomputed); else
/// <see cref="UnknownToken"/>.
/// </param>
/// <param name="TakesBest">
/// Whether the tokens sampled here, including those after drafts, are simply the best of the model's own logits, which nothing else needs.
/// If each rank holds only some columns of the logits, ranks then exchange only their best token of such a row.
/// </param>
/// <param name="Group">The data-parallel group that computes the sequence, from 0; fixed for the sequence's whole life.</param>
[method: JsonConstructor]
internal readonly record struct ScheduledSequence(
    long SequenceId,
    int FirstPosition,
    int PromptLength,
    ReadOnlyMemory<int> TokenIds,
    ReadOnlyMemory<int> BlockTable,
    bool SamplesToken,
    bool NeedsPromptLogits,
    int NumDrafts,
    int NextTokenId,
    bool TakesBest,
    int Group)
{
    /// <summary>Stands for a token that is still being sampled.</summary>
    public const int UnknownToken = -1;

    /// <summary>The drafts.</summary>
    [JsonIgnore]
    public ReadOnlyMemory<int> Drafts => TokenIds[^NumDrafts..];
}
