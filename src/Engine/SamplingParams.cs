using LocalLlm.Sampling;

namespace LocalLlm;

/// <summary>
/// How the tokens of one request are chosen: vLLM's <c>SamplingParams</c>, field by field, in .NET case.
/// A null field means "the model's default": generation_config.json first, then vLLM's default.
/// This is the untrusted type; the engine validates it once, with every error listed.
/// </summary>
public sealed record SamplingParams
{
    /// <summary>Number of sequences to generate for the prompt, 1 to 16384; must be 1 when greedy.</summary>
    public int N { get; init; } = 1;

    /// <summary>Added once for every token that the output already has; -2 to 2.</summary>
    public double PresencePenalty { get; init; }

    /// <summary>Added once for every occurrence of a token in the output; -2 to 2.</summary>
    public double FrequencyPenalty { get; init; }

    /// <summary>
    /// Divides (or multiplies, when negative) the logits of tokens in prompt or output; above 0 and finite as float32. Default 1.
    /// </summary>
    public double? RepetitionPenalty { get; init; }

    /// <summary>0 is greedy; otherwise up to 2. Values between 0 and 0.01 are raised to 0.01. Default 1.</summary>
    public double? Temperature { get; init; }

    /// <summary>Nucleus: the smallest set of tokens whose probabilities reach this; above 0, at most 1. Default 1.</summary>
    public double? TopP { get; init; }

    /// <summary>Only the k most likely tokens; 0 or -1 is off. Default 0.</summary>
    public int? TopK { get; init; }

    /// <summary>Drops tokens less likely than this share of the most likely one; 0 to 1. Default 0.</summary>
    public double? MinP { get; init; }

    /// <summary>
    /// Seed of this request's own generator; null (or -1) draws one. The same seed gives the same tokens, alone or in a batch.
    /// </summary>
    public long? Seed { get; init; }

    /// <summary>
    /// Texts that end the output; not part of it unless <see cref="IncludeStopStrInOutput"/>. At most 64 of 1 to 4096 characters.
    /// </summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>Token ids that end the output.</summary>
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];

    /// <summary>Keeps the stop string that ended the output.</summary>
    public bool IncludeStopStrInOutput { get; init; }

    /// <summary>Goes on after an end-of-sequence token.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>Most tokens to generate, at least 1. Null: 16 for a plain prompt (as vLLM), to the end of the context for a chat.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>No end-of-sequence or stop token before this many output tokens; 0 to <see cref="MaxTokens"/>.</summary>
    public int MinTokens { get; init; }

    /// <summary>
    /// Log-probabilities of the k best tokens (and the sampled one) per output token; -1 is all; at most the engine's limit (20).
    /// </summary>
    public int? Logprobs { get; init; }

    /// <summary>The same for the prompt's tokens; turns off reading the prefix cache for this request.</summary>
    public int? PromptLogprobs { get; init; }

    /// <summary>
    /// Computes the whole prompt although the prefix cache may hold a part of it; what is computed still enters the cache.
    /// </summary>
    public bool SkipReadingPrefixCache { get; init; }

    /// <summary>False: no text is produced, only ids (then <see cref="Stop"/> must be empty).</summary>
    public bool Detokenize { get; init; } = true;

    /// <summary>Leaves special tokens out of the text.</summary>
    public bool SkipSpecialTokens { get; init; } = true;

    /// <summary>
    /// Only Hugging Face's slow tokenizers honour it; with a tokenizer.json, here as in vLLM, either value gives the same text.
    /// </summary>
    public bool SpacesBetweenSpecialTokens { get; init; } = true;

    /// <summary>Token id → finite value added to its logit, clamped to -100…100.</summary>
    public IReadOnlyDictionary<int, double>? LogitBias { get; init; }

    /// <summary>Only these tokens may be generated; null: all. Not empty.</summary>
    public IReadOnlyList<int>? AllowedTokenIds { get; init; }

    /// <summary>
    /// Words that may not be generated (tokenised with and without a leading space). At most 128 of 1 to 4096 characters.
    /// </summary>
    public IReadOnlyList<string> BadWords { get; init; } = [];

    /// <summary>
    /// Most tokens between <c>&lt;think&gt;</c> and <c>&lt;/think&gt;</c>, over all thoughts of an output; then the thought is ended. 0: no
    /// thought. Null or -1: no limit. Only for models whose tokenizer has both tags as tokens.
    /// </summary>
    public int? ThinkingTokenBudget { get; init; }

    /// <summary>What the output must look like; null: anything. Needs a tokenizer.</summary>
    public StructuredOutputs? StructuredOutputs { get; init; }

    /// <summary>
    /// Whether a chat's system message ends with a description of <see cref="StructuredOutputs"/>, so that the model knows what it is held
    /// to. False: only the token mask knows.
    /// Null: as <see cref="EngineOptions.DescribeStructuredOutputs"/> says.
    /// </summary>
    public bool? DescribeStructuredOutputs { get; init; }

    /// <summary>The greedy defaults: temperature 0.</summary>
    public static SamplingParams Greedy { get; } = new() { Temperature = 0 };

    /// <summary>Refuses what no model could be asked; ranges that depend on a model are checked when an engine takes the request.</summary>
    /// <exception cref="EngineException">Kind InvalidRequest, listing every fault.</exception>
    public void Validate() =>
        SamplingValidator.Validate(this, new() { VocabularySize = int.MaxValue, MaxModelLen = int.MaxValue, PromptLength = 1, Tokenize = (_, _) => [0] });
}
