using System.Collections.ObjectModel;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Microsoft.SemanticKernel;

/// <summary>Execution settings with the engine's parameters, under vLLM's names. A property that is null is unset.</summary>
[JsonNumberHandling(JsonNumberHandling.AllowReadingFromString)]
public sealed class LocalLlmPromptExecutionSettings : PromptExecutionSettings
{
    private ReadOnlyCollection<string>? _frozenStop;

    /// <inheritdoc cref="LocalLlm.SamplingParams.Temperature"/>
    [JsonPropertyName("temperature")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? Temperature
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <inheritdoc cref="LocalLlm.SamplingParams.TopP"/>
    [JsonPropertyName("top_p")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? TopP
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <inheritdoc cref="LocalLlm.SamplingParams.TopK"/>
    [JsonPropertyName("top_k")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? TopK
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <inheritdoc cref="LocalLlm.SamplingParams.MinP"/>
    [JsonPropertyName("min_p")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? MinP
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <inheritdoc cref="LocalLlm.SamplingParams.PresencePenalty"/>
    [JsonPropertyName("presence_penalty")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? PresencePenalty
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <inheritdoc cref="LocalLlm.SamplingParams.FrequencyPenalty"/>
    [JsonPropertyName("frequency_penalty")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? FrequencyPenalty
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <inheritdoc cref="LocalLlm.SamplingParams.RepetitionPenalty"/>
    [JsonPropertyName("repetition_penalty")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? RepetitionPenalty
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <inheritdoc cref="LocalLlm.SamplingParams.MaxTokens"/>
    [JsonPropertyName("max_tokens")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? MaxTokens
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <inheritdoc cref="LocalLlm.SamplingParams.Seed"/>
    [JsonPropertyName("seed")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? Seed
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <inheritdoc cref="LocalLlm.SamplingParams.Stop"/>
    [JsonPropertyName("stop_sequences")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IList<string>? StopSequences
    {
        get => _frozenStop ?? field;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <inheritdoc cref="LocalLlm.SamplingParams.ThinkingTokenBudget"/>
    [JsonPropertyName("thinking_token_budget")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? ThinkingTokenBudget
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <summary>
    /// The format of the response: <c>"text"</c>, <c>"json_object"</c>, a <see cref="Type"/>, a JSON schema or OpenAI's object (as
    /// <see cref="JsonElement"/>, document, node, dictionary or JSON text), or a <see cref="Microsoft.Extensions.AI.ChatResponseFormat"/>.
    /// Any other value is refused when it is used.
    /// </summary>
    [JsonPropertyName("response_format")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public object? ResponseFormat
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <summary>
    /// How long a reasoning model may think: <c>none</c>, <c>minimal</c>, <c>low</c>, <c>medium</c>, <c>high</c>, <c>xhigh</c> or
    /// <c>max</c>.
    /// </summary>
    [JsonPropertyName("reasoning_effort")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? ReasoningEffort
    {
        get;
        set
        {
            ThrowIfFrozen();
            field = value;
        }
    }

    /// <summary>
    /// Converts settings of any type to this type; returns the same object if it already is one. The extension data holds fields without a
    /// property. What cannot be honoured is refused when the settings are used.
    /// </summary>
    public static LocalLlmPromptExecutionSettings FromExecutionSettings(PromptExecutionSettings? settings)
    {
        if (settings is null)
            return new();
        if (settings is LocalLlmPromptExecutionSettings own)
            return own;
        var fields = SettingsFields.Given(settings);
        // A format may be an object that has no JSON form.
        fields.Remove(SettingsFields.ResponseFormat, out var format);
        if (fields.Remove("stop", out var stop))
            fields["stop_sequences"] = stop is string one ? new[] { one } : stop;
        var result = JsonSerializer.Deserialize<LocalLlmPromptExecutionSettings>(JsonSerializer.Serialize(fields)) ?? new();
        result.ResponseFormat = format;
        (result.ModelId, result.ServiceId, result.FunctionChoiceBehavior) = (settings.ModelId, settings.ServiceId, settings.FunctionChoiceBehavior);
        return result;
    }

    /// <inheritdoc/>
    public override void Freeze()
    {
        if (IsFrozen)
            return;
        base.Freeze();
        if (StopSequences is { } stop)
            _frozenStop = stop.AsReadOnly();
    }

    /// <inheritdoc/>
    public override PromptExecutionSettings Clone() => new LocalLlmPromptExecutionSettings
    {
        ModelId = ModelId,
        ServiceId = ServiceId,
        FunctionChoiceBehavior = FunctionChoiceBehavior,
        ExtensionData = ExtensionData is null ? null : new Dictionary<string, object>(ExtensionData),
        Temperature = Temperature,
        TopP = TopP,
        TopK = TopK,
        MinP = MinP,
        PresencePenalty = PresencePenalty,
        FrequencyPenalty = FrequencyPenalty,
        RepetitionPenalty = RepetitionPenalty,
        MaxTokens = MaxTokens,
        Seed = Seed,
        StopSequences = StopSequences is null ? null : [.. StopSequences],
        ThinkingTokenBudget = ThinkingTokenBudget,
        ResponseFormat = ResponseFormat,
        ReasoningEffort = ReasoningEffort,
    };
}
