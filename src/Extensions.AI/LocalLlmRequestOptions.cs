namespace LocalLlm.Extensions.AI;

/// <summary>
/// Options of the engine that <see cref="Microsoft.Extensions.AI.ChatOptions"/> does not have. Return an instance from
/// <see cref="Microsoft.Extensions.AI.ChatOptions.RawRepresentationFactory"/>. A property that is null is unset. Names and ranges are
/// vLLM's (<see cref="SamplingParams"/>).
/// </summary>
public sealed class LocalLlmRequestOptions
{
    /// <inheritdoc cref="SamplingParams.MinP"/>
    public double? MinP { get; set; }

    /// <inheritdoc cref="SamplingParams.RepetitionPenalty"/>
    public double? RepetitionPenalty { get; set; }

    /// <inheritdoc cref="SamplingParams.MinTokens"/>
    public int? MinTokens { get; set; }

    /// <inheritdoc cref="SamplingParams.IgnoreEos"/>
    public bool? IgnoreEos { get; set; }

    /// <inheritdoc cref="SamplingParams.StopTokenIds"/>
    public IReadOnlyList<int>? StopTokenIds { get; set; }

    /// <inheritdoc cref="SamplingParams.IncludeStopStrInOutput"/>
    public bool? IncludeStopStrInOutput { get; set; }

    /// <inheritdoc cref="SamplingParams.SkipSpecialTokens"/>
    public bool? SkipSpecialTokens { get; set; }

    /// <inheritdoc cref="SamplingParams.LogitBias"/>
    public IReadOnlyDictionary<int, double>? LogitBias { get; set; }

    /// <inheritdoc cref="SamplingParams.AllowedTokenIds"/>
    public IReadOnlyList<int>? AllowedTokenIds { get; set; }

    /// <inheritdoc cref="SamplingParams.BadWords"/>
    public IReadOnlyList<string>? BadWords { get; set; }

    /// <summary>
    /// <inheritdoc cref="SamplingParams.Logprobs"/> The additional properties of an update or response hold them as <c>logprobs</c>: a list
    /// of <see cref="TokenLogprobs"/>, one per token, reasoning included.
    /// </summary>
    public int? Logprobs { get; set; }

    /// <inheritdoc cref="SamplingParams.ThinkingTokenBudget"/>
    public int? ThinkingTokenBudget { get; set; }

    /// <inheritdoc cref="SamplingParams.StructuredOutputs"/>
    public StructuredOutputs? StructuredOutputs { get; set; }

    /// <inheritdoc cref="SamplingParams.DescribeStructuredOutputs"/>
    public bool? DescribeStructuredOutputs { get; set; }

    /// <inheritdoc cref="SamplingParams.SkipReadingPrefixCache"/>
    public bool? SkipReadingPrefixCache { get; set; }

    /// <inheritdoc cref="GenerationRequest.Priority"/>
    public int Priority { get; set; }

    /// <inheritdoc cref="GenerationRequest.CacheSalt"/>
    public string? CacheSalt { get; set; }

    /// <summary>Further variables of the chat template, such as <c>enable_thinking</c>.</summary>
    public IReadOnlyDictionary<string, object?>? ChatTemplateKwargs { get; set; }
}
