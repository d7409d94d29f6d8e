using LocalLlm.Execution;
using LocalLlm.KvCache;
using LocalLlm.Sampling;

namespace LocalLlm.Scheduling;

/// <summary>
/// One stream of tokens: a prompt and what was generated for it. Only the <see cref="Scheduler"/> changes it; others read it, on the
/// engine loop's thread.
/// </summary>
internal sealed class Sequence
{
    // Prompt, then output, then drafts. Growing replaces the array, so slices handed out stay valid. The drafts in a slice are overwritten
    // once their step is reported.
    private int[] _tokens;

    /// <summary>Creates a sequence that no scheduler knows yet.</summary>
    /// <param name="id">Unique among live sequences.</param>
    /// <param name="promptTokenIds">The prompt; copied.</param>
    /// <param name="maxTokens">Maximum number of output tokens, at least 1.</param>
    /// <param name="cacheSalt">Shares cached prefixes only with sequences of the same salt.</param>
    public Sequence(long id, ReadOnlySpan<int> promptTokenIds, int maxTokens, string? cacheSalt = null)
    {
        Id = id;
        _tokens = promptTokenIds.ToArray();
        NumPromptTokens = NumTokens = _tokens.Length;
        MaxTokens = maxTokens;
        Blocks = new BlockTable(cacheSalt);
    }

    /// <summary>The sequence's id in every <see cref="SchedulerOutput"/>.</summary>
    public long Id { get; }

    /// <summary>Length of the prompt.</summary>
    public int NumPromptTokens { get; }

    /// <summary>Maximum number of output tokens; the context's length may end the sequence earlier.</summary>
    public int MaxTokens { get; }

    /// <summary>Lower values go first; used only under <see cref="SchedulingPolicy.Priority"/>.</summary>
    public int Priority { get; init; }

    /// <summary>Whether the logits of the prompt's positions are requested; the prompt then never comes from the prefix cache.</summary>
    public bool NeedsPromptLogits { get; init; }

    /// <summary>Takes no prefix from the cache, but still adds its own blocks there.</summary>
    public bool SkipReadingPrefixCache { get; init; }

    /// <summary>How the executor chooses tokens, and which tokens end the sequence; null: only its length ends it.</summary>
    public ValidatedSampling? Sampling { get; init; }

    /// <summary>The sequence's index among its request's n sequences.</summary>
    public int Index { get; init; }

    /// <summary>Seed for sampling, if <see cref="Sampling"/> has none.</summary>
    public ulong Seed { get; init; }

    /// <summary>Number of known tokens: prompt and output.</summary>
    public int NumTokens { get; private set; }

    /// <summary>Number of drafts in flight: guesses after the known tokens, which a step verifies.</summary>
    public int NumDrafts { get; private set; }

    /// <summary>Number of known and drafted tokens (vLLM's <c>num_tokens_with_spec</c>).</summary>
    public int NumTokensWithSpec => NumTokens + NumDrafts;

    /// <summary>Number of generated tokens.</summary>
    public int NumOutputTokens => NumTokens - NumPromptTokens;

    /// <summary>All known tokens.</summary>
    public ReadOnlySpan<int> TokenIds => _tokens.AsSpan(0, NumTokens);

    /// <summary>The prompt.</summary>
    public ReadOnlySpan<int> PromptTokenIds => _tokens.AsSpan(0, NumPromptTokens);

    /// <summary>The output so far.</summary>
    public ReadOnlySpan<int> OutputTokenIds => _tokens.AsSpan(NumPromptTokens, NumOutputTokens);

    /// <summary>
    /// Leading positions whose keys and values are in the cache: computed by completed steps, or found in the prefix cache.
    /// </summary>
    public int NumComputedTokens { get; internal set; }

    /// <summary>Prompt tokens found in the prefix cache when the sequence was first admitted.</summary>
    public int NumCachedTokens { get; internal set; }

    /// <summary>How often the sequence was preempted.</summary>
    public int NumPreemptions { get; internal set; }

    /// <summary>The sequence's state.</summary>
    public SequenceState State { get; internal set; }

    /// <summary>Why the sequence ended, once it has.</summary>
    public FinishReason? FinishReason { get; internal set; }

    /// <summary>The stop token that ended the sequence, if one did.</summary>
    public int? StopTokenId { get; internal set; }

    /// <summary>Position in the order of arrival, set by <see cref="Scheduler.Add(Sequence)"/>.</summary>
    public long ArrivalOrder { get; internal set; }

    /// <summary><see cref="TimeProvider.GetTimestamp"/> when the sequence was added.</summary>
    public long ArrivalTimestamp { get; internal set; }

    /// <summary>Timestamp of the sequence's first step, or null before.</summary>
    public long? FirstScheduledTimestamp { get; internal set; }

    /// <summary>Timestamp of the first output token, or null before.</summary>
    public long? FirstTokenTimestamp { get; internal set; }

    /// <summary>Timestamp of the latest output token, or null before the first.</summary>
    public long? LastTokenTimestamp { get; internal set; }

    /// <summary>Timestamp of the sequence's end, or null before.</summary>
    public long? FinishedTimestamp { get; internal set; }

    /// <summary>The sequence's blocks.</summary>
    public BlockTable Blocks { get; }

    /// <summary>The data-parallel group of the sequence, fixed at its first admission because its sampling state is there.</summary>
    internal SchedulingGroup? Group { get; set; }

    /// <summary>Drafts for the sequence, from its admission to its end; null: no drafts.</summary>
    internal IDrafter? Drafter { get; set; }

    /// <summary>Tokens in steps that were scheduled and have not completed.</summary>
    internal int NumInFlightTokens { get; set; }

    /// <summary>Steps that hold the sequence and have not completed: until this is 0 its blocks may still be written.</summary>
    internal int NumInFlightSteps { get; set; }

    /// <summary>Steps in flight that sample a token of the sequence, not yet known to the host.</summary>
    internal int NumPendingTokens { get; set; }

    /// <summary>The newest step that holds the sequence.</summary>
    internal long LastStepId { get; set; }

    /// <summary>The newest step that held drafts of the sequence; 0: none.</summary>
    internal long LastDraftStepId { get; set; }

    /// <summary>Whether the sequence skips the step being built, so that the next one can hold drafts of it.</summary>
    internal bool WaitsToDraft { get; set; }

    /// <summary>Whether a step has announced the sequence to the executor.</summary>
    internal bool IsAnnounced { get; set; }

    /// <summary>The first position that no step has taken yet.</summary>
    internal int NextPosition => NumComputedTokens + NumInFlightTokens;

    /// <summary>Leading positions whose prompt logits were delivered.</summary>
    internal int NumPromptLogitsComputed { get; set; }

    /// <summary>
    /// Whether prompt logits are still to be delivered. The last prompt token's logits belong to the first output token.
    /// </summary>
    internal bool OwesPromptLogits => NeedsPromptLogits && NumPromptLogitsComputed < NumPromptTokens - 1;

    internal ReadOnlyMemory<int> PromptTokens => _tokens.AsMemory(0, NumPromptTokens);

    internal ReadOnlyMemory<int> Slice(int first, int count) => _tokens.AsMemory(first, count);

    /// <summary>Stores drafts after the known tokens, so that one slice may hold both.</summary>
    internal void SetDrafts(ReadOnlySpan<int> drafts)
    {
        Reserve(NumTokens + drafts.Length);
        drafts.CopyTo(_tokens.AsSpan(NumTokens));
        NumDrafts = drafts.Length;
    }

    internal void Append(int tokenId)
    {
        Reserve(NumTokens + 1);
        _tokens[NumTokens++] = tokenId;
    }

    private void Reserve(int count)
    {
        if (count > _tokens.Length)
            Array.Resize(ref _tokens, count + int.Max(15, NumTokens / 2));
    }
}
