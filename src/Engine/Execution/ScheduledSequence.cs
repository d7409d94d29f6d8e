using System.Text.Json.Serialization;

namespace LocalLlm.Execution;

/// <summary>One sequence's part of a step: a run of consecutive positions to compute. Plain data.</summary>
/// <param name="SequenceId">The sequence.</param>
/// <param name="FirstPosition">Position of the first token of <paramref name="TokenIds"/>; all before it are in the KV cache.</param>
/// <param name="PromptLength">Length of the sequence's prompt.</param>
/// <param name="TokenIds">
/// The tokens to compute, at least one, then the drafts. A single <see cref="UnknownToken"/>: the one that a step in flight samples for the
/// sequence.
/// </param>
/// <param name="BlockTable">
/// Block of every position up to the last token's, in order; position p is at slot p % block size of block p / block size.
/// </param>
/// <param name="SamplesToken">Whether the last token here, drafts apart, is the last one known: its logits choose the next.</param>
/// <param name="NeedsPromptLogits">Whether the logits of all positions here that lie in the prompt are wanted.</param>
/// <param name="NumDrafts">
/// How many of the last tokens here are drafts: guesses of the tokens that are to be sampled. A token is sampled after each of them too,
/// as long as all before it were right. Above 0 only where a token is sampled, and where no other step in flight holds the sequence.
/// </param>
/// <param name="NextTokenId">
/// The token after the last one here, drafts apart, where that is known already (a prompt in chunks, output that is computed again); else
/// <see cref="UnknownToken"/>.
/// </param>
/// <param name="TakesBest">
/// Whether a token is sampled here, and it and those after drafts are the best of the model's own logits, of which nothing else is wanted:
/// of such rows ranks that hold some columns each bring together their best alone.
/// </param>
/// <param name="Group">The data-parallel group that computes it, from 0; the same for the sequence's whole life.</param>
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
