using System.Collections.ObjectModel;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Microsoft.SemanticKernel;

/// <summary>Execution settings with the engine's parameters, under vLLM's names. A property that is null says nothing.</summary>
[JsonNumberHandling(JsonNumberHandling.AllowReadingFromString)]
public sealed class LocalLlmPromptExecutionSettings : PromptExecutionSettings
{
    private static readonly string[] StopNames = ["stop_sequences", "stop"];

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

    /// <summary>Settings of any kind as these; the same object where it is one.</summary>
    public static LocalLlmPromptExecutionSettings FromExecutionSettings(PromptExecutionSettings? settings) => settings switch
    {
        null => new(),
        LocalLlmPromptExecutionSettings own => own,
        _ => JsonSerializer.Deserialize<LocalLlmPromptExecutionSettings>(JsonSerializer.Serialize(settings, settings.GetType())) ?? new(),
    };

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
    };

    /// <summary>The settings as fields of the engine's sampling parameters: typed ones, and what else was given by name.</summary>
    internal static Dictionary<string, object?> FieldsOf(PromptExecutionSettings? settings)
    {
        if (settings is null)
            return [];
        var own = FromExecutionSettings(settings);
        var fields = new Dictionary<string, object?>();
        foreach (var (name, value) in own.ExtensionData ?? new Dictionary<string, object>())
            fields[Array.IndexOf(StopNames, name) >= 0 ? "stop" : name] = value;
        Set("temperature", own.Temperature);
        Set("top_p", own.TopP);
        Set("top_k", own.TopK);
        Set("min_p", own.MinP);
        Set("presence_penalty", own.PresencePenalty);
        Set("frequency_penalty", own.FrequencyPenalty);
        Set("repetition_penalty", own.RepetitionPenalty);
        Set("max_tokens", own.MaxTokens);
        Set("seed", own.Seed);
        Set("stop", own.StopSequences);
        Set("thinking_token_budget", own.ThinkingTokenBudget);
        return fields;

        void Set(string name, object? value)
        {
            if (value is not null)
                fields[name] = value;
        }
    }
}
