using LocalLlm.Execution;
using LocalLlm.KvCache;
using LocalLlm.Sampling;

namespace LocalLlm.Scheduling;

/// <summary>
/// One stream of tokens: a prompt and what was generated for it. The <see cref="Scheduler"/> changes it; everybody else
/// reads it, on the engine loop's thread.
/// </summary>
internal sealed class Sequence
{
    // Prompt, then output, then drafts. Replaced when it grows, so slices handed out stay valid; the drafts of one are overwritten once it
    // is reported.
    private int[] _tokens;

    /// <summary>Creates a sequence that no scheduler knows yet.</summary>
    /// <param name="id">Unique among the sequences that are alive.</param>
    /// <param name="promptTokenIds">The prompt; copied.</param>
    /// <param name="maxTokens">Most output tokens, at least 1.</param>
    /// <param name="cacheSalt">Shares cached prefixes only with sequences of the same salt.</param>
    public Sequence(long id, ReadOnlySpan<int> promptTokenIds, int maxTokens, string? cacheSalt = null)
    {
        Id = id;
        _tokens = promptTokenIds.ToArray();
        NumPromptTokens = NumTokens = _tokens.Length;
        MaxTokens = maxTokens;
        Blocks = new BlockTable(cacheSalt);
    }

    /// <summary>Its id in every <see cref="SchedulerOutput"/>.</summary>
    public long Id { get; }

    /// <summary>Length of the prompt.</summary>
    public int NumPromptTokens { get; }

    /// <summary>Most output tokens; the context's length may end it earlier.</summary>
    public int MaxTokens { get; }

    /// <summary>Lower goes first; used only under <see cref="SchedulingPolicy.Priority"/>.</summary>
    public int Priority { get; init; }

    /// <summary>Whether the logits of the prompt's positions are wanted; then its prompt is never taken from the prefix cache.</summary>
    public bool NeedsPromptLogits { get; init; }

    /// <summary>Never takes a prefix from the cache (it still leaves its own there).</summary>
    public bool SkipReadingPrefixCache { get; init; }

    /// <summary>How the executor chooses its tokens, and which of them end it; null: only its length ends it.</summary>
    public ValidatedSampling? Sampling { get; init; }

    /// <summary>Which of its request's n sequences it is.</summary>
    public int Index { get; init; }

    /// <summary>Seed of its draws, where <see cref="Sampling"/> has none.</summary>
    public ulong Seed { get; init; }

    /// <summary>Known tokens: prompt and output.</summary>
    public int NumTokens { get; private set; }

    /// <summary>Tokens of it that are drafted and in flight: they may follow the known ones, and a step verifies them.</summary>
    public int NumDrafts { get; private set; }

    /// <summary>Known and drafted tokens (vLLM's <c>num_tokens_with_spec</c>).</summary>
    public int NumTokensWithSpec => NumTokens + NumDrafts;

    /// <summary>Generated tokens.</summary>
    public int NumOutputTokens => NumTokens - NumPromptTokens;

    /// <summary>All known tokens.</summary>
    public ReadOnlySpan<int> TokenIds => _tokens.AsSpan(0, NumTokens);

    /// <summary>The prompt.</summary>
    public ReadOnlySpan<int> PromptTokenIds => _tokens.AsSpan(0, NumPromptTokens);

    /// <summary>The output so far.</summary>
    public ReadOnlySpan<int> OutputTokenIds => _tokens.AsSpan(NumPromptTokens, NumOutputTokens);

    /// <summary>Leading positions whose keys and values are in the cache: computed by completed steps, or hit.</summary>
    public int NumComputedTokens { get; internal set; }

    /// <summary>Prompt tokens that the prefix cache gave when the sequence was first admitted.</summary>
    public int NumCachedTokens { get; internal set; }

    /// <summary>How often it lost its blocks.</summary>
    public int NumPreemptions { get; internal set; }

    /// <summary>Where it stands.</summary>
    public SequenceState State { get; internal set; }

    /// <summary>Why it ended, once it is finished.</summary>
    public FinishReason? FinishReason { get; internal set; }

    /// <summary>The stop token that ended it, if one did.</summary>
    public int? StopTokenId { get; internal set; }

    /// <summary>Position in the order of arrival, given by <see cref="Scheduler.Add(Sequence)"/>.</summary>
    public long ArrivalOrder { get; internal set; }

    /// <summary><see cref="TimeProvider.GetTimestamp"/> when it was added.</summary>
    public long ArrivalTimestamp { get; internal set; }

    /// <summary>Timestamp of its first step, or null before.</summary>
    public long? FirstScheduledTimestamp { get; internal set; }

    /// <summary>Timestamp of its first output token, or null before.</summary>
    public long? FirstTokenTimestamp { get; internal set; }

    /// <summary>Timestamp of its latest output token, or null before the first.</summary>
    public long? LastTokenTimestamp { get; internal set; }

    /// <summary>Timestamp of its end, or null before.</summary>
    public long? FinishedTimestamp { get; internal set; }

    /// <summary>Its blocks.</summary>
    public BlockTable Blocks { get; }

    /// <summary>The data-parallel group that computes it, from its first admission on: its sampling state is there.</summary>
    internal SchedulingGroup? Group { get; set; }

    /// <summary>Guesses how it goes on, from its admission to its end; null: nothing does.</summary>
    internal IDrafter? Drafter { get; set; }

    /// <summary>Tokens in steps that were scheduled and have not completed.</summary>
    internal int NumInFlightTokens { get; set; }

    /// <summary>Steps that hold it and have not completed: until this is 0 its blocks may be written.</summary>
    internal int NumInFlightSteps { get; set; }

    /// <summary>Steps in flight that sample a token of it, which is not known yet.</summary>
    internal int NumPendingTokens { get; set; }

    /// <summary>The newest step that holds it.</summary>
    internal long LastStepId { get; set; }

    /// <summary>The newest step that held drafts of it; 0: none did.</summary>
    internal long LastDraftStepId { get; set; }

    /// <summary>Whether it is not run ahead in the step being built, so that the one after can hold drafts of it.</summary>
    internal bool WaitsToDraft { get; set; }

    /// <summary>Whether a step has announced it to the executor.</summary>
    internal bool IsAnnounced { get; set; }

    /// <summary>The first position that no step has taken yet.</summary>
    internal int NextPosition => NumComputedTokens + NumInFlightTokens;

    /// <summary>Leading positions whose prompt logits were delivered.</summary>
    internal int NumPromptLogitsComputed { get; set; }

    /// <summary>Whether some prompt logits are still owed; the last prompt token's are the first output's.</summary>
    internal bool OwesPromptLogits => NeedsPromptLogits && NumPromptLogitsComputed < NumPromptTokens - 1;

    internal ReadOnlyMemory<int> PromptTokens => _tokens.AsMemory(0, NumPromptTokens);

    internal ReadOnlyMemory<int> Slice(int first, int count) => _tokens.AsMemory(first, count);

    /// <summary>Keeps drafts behind the known tokens, so that a slice may hold both.</summary>
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
