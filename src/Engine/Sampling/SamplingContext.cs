namespace LocalLlm.Sampling;

/// <summary>What a request is validated against: the model, the prompt's length and the engine's limits. All of it is trusted.</summary>
internal sealed record SamplingContext
{
    /// <summary>Width of a row of logits; every token id of a request is below it.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Maximum number of tokens of prompt and output together.</summary>
    public required int MaxModelLen { get; init; }

    /// <summary>Tokens of the prompt.</summary>
    public required int PromptLength { get; init; }

    /// <summary>Whether an absent max_tokens means "to the end of the context" (a chat) or 16 (a plain prompt).</summary>
    public bool IsChat { get; init; }

    /// <summary>Whether prompt and max_tokens together must fit into the context.</summary>
    public bool MustFit { get; init; }

    /// <summary>The defaults in generation_config.json, or <see cref="ModelSamplingDefaults.None"/>.</summary>
    public ModelSamplingDefaults ModelDefaults { get; init; } = ModelSamplingDefaults.None;

    /// <summary>
    /// The tokenizer's end-of-sequence id and all those in generation_config.json. Ids outside the vocabulary are left out.
    /// </summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>The tokens that begin and end a thought, if the tokenizer has both.</summary>
    public ThinkingTokens? Thinking { get; init; }

    /// <summary>
    /// The tools of a chat, if its calls must be guaranteed or could take the place of a structure; null: none.
    /// </summary>
    public ToolCallStructure? Tools { get; init; }

    /// <summary>Compiles grammars; null if the engine runs without a tokenizer.</summary>
    public ResponseGrammars? Grammars { get; init; }

    /// <summary>Maximum number of log-probabilities per position; -1: no limit.</summary>
    public int MaxLogprobs { get; init; } = 20;

    /// <summary>Maximum number of sequences of one request (vLLM: VLLM_MAX_N_SEQUENCES).</summary>
    public int MaxSequences { get; init; } = 16384;

    /// <summary>
    /// Encodes text to ids; the flag adds special tokens. Null if the engine runs without a tokenizer: stop strings and bad words are then
    /// refused, and nothing is detokenised.
    /// </summary>
    public Func<string, bool, int[]>? Tokenize { get; init; }

    /// <summary>Whether the engine has a tokenizer.</summary>
    public bool HasTokenizer => Tokenize is not null;
}
