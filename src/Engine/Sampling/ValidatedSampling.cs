namespace LocalLlm.Sampling;

/// <summary>
/// Sampling parameters as the engine uses them: every rule checked, every default resolved, immutable. Plain data.
/// Only <see cref="SamplingValidator"/> creates them.
/// </summary>
internal sealed class ValidatedSampling
{
    public required int N { get; init; }

    public required float PresencePenalty { get; init; }

    public required float FrequencyPenalty { get; init; }

    public required float RepetitionPenalty { get; init; }

    /// <summary>0 (greedy), or 0.01 to 2.</summary>
    public required double Temperature { get; init; }

    public bool IsGreedy => Temperature == 0;

    /// <summary>Above 0; 1 is off.</summary>
    public required double TopP { get; init; }

    /// <summary>0 is off; otherwise 1 to the vocabulary's size - 1.</summary>
    public required int TopK { get; init; }

    /// <summary>0 is off.</summary>
    public required double MinP { get; init; }

    /// <summary>Null: the engine draws a seed.</summary>
    public required long? Seed { get; init; }

    public required IReadOnlyList<string> Stop { get; init; }

    public required int[] StopTokenIds { get; init; }

    /// <summary>All end-of-sequence ids of the model, even with <see cref="IgnoreEos"/>.</summary>
    public required int[] EosTokenIds { get; init; }

    public required bool IncludeStopStrInOutput { get; init; }

    public required bool IgnoreEos { get; init; }

    /// <summary>Already cut to the context: prompt and output never exceed it.</summary>
    public required int MaxTokens { get; init; }

    public required int MinTokens { get; init; }

    /// <summary>
    /// Tokens forbidden before <see cref="MinTokens"/>: end-of-sequence and stop tokens. Empty if MinTokens is 0.
    /// </summary>
    public required int[] MinTokensBanned { get; init; }

    /// <summary>Null: none. Otherwise a count up to the vocabulary's size ("all" is already resolved).</summary>
    public required int? Logprobs { get; init; }

    /// <inheritdoc cref="Logprobs"/>
    public required int? PromptLogprobs { get; init; }

    public required bool Detokenize { get; init; }

    public required bool SkipSpecialTokens { get; init; }

    public required bool SpacesBetweenSpecialTokens { get; init; }

    /// <summary>Token ids, ascending, parallel to <see cref="LogitBiases"/>.</summary>
    public required int[] LogitBiasTokenIds { get; init; }

    public required float[] LogitBiases { get; init; }

    /// <summary>Ascending, without duplicates; null: all.</summary>
    public required int[]? AllowedTokenIds { get; init; }

    /// <summary>Token sequences. The last token of each is banned whenever the output ends with the tokens before it.</summary>
    public required int[][] BadWordsTokenIds { get; init; }

    /// <summary>Null: no limit.</summary>
    public required int? ThinkingTokenBudget { get; init; }

    /// <summary>The reasoning tags; null: the model has none.</summary>
    public required ThinkingTokens? Thinking { get; init; }

    /// <summary>Whether the prompt is a chat.</summary>
    public required bool IsChat { get; init; }

    /// <summary>What the output must conform to; null: nothing.</summary>
    public required ResponseGrammar? Grammar { get; init; }

    /// <summary>Whether the prompt is computed even if the prefix cache holds it.</summary>
    public bool SkipReadingPrefixCache { get; init; }

    /// <summary>Whether choosing a token needs the tokens before it, beyond the model's logits.</summary>
    public bool NeedsHistory => Grammar is not null || BadWordsTokenIds.Length > 0 || HasPenalties || ThinkingTokenBudget is not null;

    /// <summary>
    /// Whether the token at an output position is simply the best of the model's own logits: sampling is greedy, and nothing changes the
    /// logits (<see cref="LogitsProcessors"/>) or reports them.
    /// </summary>
    /// <param name="outputPosition">Index of the token in the output.</param>
    public bool TakesBest(int outputPosition) => IsGreedy && Logprobs is null && !NeedsHistory && AllowedTokenIds is null
        && LogitBiasTokenIds.Length == 0 && outputPosition >= MinTokens;

    /// <summary>Whether any of the three penalties is on.</summary>
    public bool HasPenalties => RepetitionPenalty != 1 || PresencePenalty != 0 || FrequencyPenalty != 0;
}
