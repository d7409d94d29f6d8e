using LocalLlm.Sampling;

namespace LocalLlm;

/// <summary>
/// How the tokens of one request are chosen: vLLM's <c>SamplingParams</c>, field by field, in .NET case.
/// A null field means the model's default: generation_config.json first, then vLLM's default.
/// Untrusted input: the engine validates it once and lists every error.
/// </summary>
public sealed record SamplingParams
{
    /// <summary>Number of sequences to generate for the prompt, 1 to 16384; must be 1 for greedy sampling.</summary>
    public int N { get; init; } = 1;

    /// <summary>Subtracted once from the logit of every token that the output already has; -2 to 2.</summary>
    public double PresencePenalty { get; init; }

    /// <summary>Subtracted from a token's logit once for every occurrence in the output; -2 to 2.</summary>
    public double FrequencyPenalty { get; init; }

    /// <summary>
    /// Divides positive logits of tokens in prompt or output, and multiplies negative ones; above 0 and finite as float32. Default 1.
    /// </summary>
    public double? RepetitionPenalty { get; init; }

    /// <summary>0 is greedy; otherwise up to 2. Values between 0 and 0.01 are raised to 0.01. Default 1.</summary>
    public double? Temperature { get; init; }

    /// <summary>
    /// Nucleus sampling: keeps the smallest set of tokens whose probabilities reach this sum; above 0, at most 1. Default 1.
    /// </summary>
    public double? TopP { get; init; }

    /// <summary>Keeps only the k most likely tokens; 0 or -1 is off. Default 0.</summary>
    public int? TopK { get; init; }

    /// <summary>Drops tokens whose probability is below this share of the most likely token's; 0 to 1. Default 0.</summary>
    public double? MinP { get; init; }

    /// <summary>
    /// Seed of this request's own generator; null (or -1) draws a seed. The same seed gives the same tokens, alone or in a batch.
    /// </summary>
    public long? Seed { get; init; }

    /// <summary>
    /// Texts that end the output; not part of it unless <see cref="IncludeStopStrInOutput"/>. At most 64, of 1 to 4096 characters each.
    /// </summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>Token ids that end the output.</summary>
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];

    /// <summary>Keeps the stop string in the output that it ended.</summary>
    public bool IncludeStopStrInOutput { get; init; }

    /// <summary>Continues after an end-of-sequence token.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>Maximum number of generated tokens, at least 1. Null: 16 for a plain prompt (as in vLLM), up to the end of the context for
    /// a chat.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Allows no end-of-sequence or stop token before this many output tokens; 0 to <see cref="MaxTokens"/>.</summary>
    public int MinTokens { get; init; }

    /// <summary>
    /// Number of most likely tokens whose log-probabilities are returned for each output token, with the sampled one's; -1: all. At most
    /// the engine's limit (20).
    /// </summary>
    public int? Logprobs { get; init; }

    /// <summary>The same for the prompt's tokens; the request then does not read the prefix cache.</summary>
    public int? PromptLogprobs { get; init; }

    /// <summary>
    /// Computes the whole prompt even if the prefix cache holds a part of it; the computed blocks still enter the cache.
    /// </summary>
    public bool SkipReadingPrefixCache { get; init; }

    /// <summary>False: only token ids and no text are returned (<see cref="Stop"/> must then be empty).</summary>
    public bool Detokenize { get; init; } = true;

    /// <summary>Leaves special tokens out of the text.</summary>
    public bool SkipSpecialTokens { get; init; } = true;

    /// <summary>
    /// Affects only Hugging Face's slow tokenizers; with a tokenizer.json, here as in vLLM, either value gives the same text.
    /// </summary>
    public bool SpacesBetweenSpecialTokens { get; init; } = true;

    /// <summary>Token id → finite value added to its logit, clamped to -100…100.</summary>
    public IReadOnlyDictionary<int, double>? LogitBias { get; init; }

    /// <summary>The only tokens that may be generated, not empty; null: all tokens.</summary>
    public IReadOnlyList<int>? AllowedTokenIds { get; init; }

    /// <summary>
    /// Words that may not be generated (tokenised with and without a leading space). At most 128, of 1 to 4096 characters each.
    /// </summary>
    public IReadOnlyList<string> BadWords { get; init; } = [];

    /// <summary>
    /// Maximum number of tokens between <c>&lt;think&gt;</c> and <c>&lt;/think&gt;</c>, over all thoughts of an output; at the limit the
    /// engine ends the thought. 0: no thought. Null or -1: no limit. Only for models whose tokenizer has both tags as tokens.
    /// </summary>
    public int? ThinkingTokenBudget { get; init; }

    /// <summary>A structure that constrains the output; null: none. Needs a tokenizer.</summary>
    public StructuredOutputs? StructuredOutputs { get; init; }

    /// <summary>
    /// Whether the engine adds a description of <see cref="StructuredOutputs"/> to the end of a chat's system message, so that the model
    /// knows the structure. False: only the token mask enforces it. Null: as <see cref="EngineOptions.DescribeStructuredOutputs"/> says.
    /// </summary>
    public bool? DescribeStructuredOutputs { get; init; }

    /// <summary>The greedy defaults: temperature 0.</summary>
    public static SamplingParams Greedy { get; } = new() { Temperature = 0 };

    /// <summary>
    /// Refuses values that are invalid for any model; the engine checks ranges that depend on the model when it takes the request.
    /// </summary>
    /// <exception cref="EngineException">Kind InvalidRequest, listing every fault.</exception>
    public void Validate() =>
        SamplingValidator.Validate(this, new() { VocabularySize = int.MaxValue, MaxModelLen = int.MaxValue, PromptLength = 1, Tokenize = (_, _) => [0] });
}
