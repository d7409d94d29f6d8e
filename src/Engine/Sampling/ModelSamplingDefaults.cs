using System.Globalization;

namespace LocalLlm.Sampling;

/// <summary>
/// The sampling fields of a model's generation_config.json, which apply if the request does not set them. <see cref="MaxNewTokens"/> is
/// also a cap, as in vLLM.
/// </summary>
internal sealed record ModelSamplingDefaults
{
    private const string File = "generation_config.json";

    public static ModelSamplingDefaults None { get; } = new();

    public double? Temperature { get; init; }

    public double? TopP { get; init; }

    public int? TopK { get; init; }

    public double? MinP { get; init; }

    public double? RepetitionPenalty { get; init; }

    public int? MaxNewTokens { get; init; }

    /// <summary>Checks the values once, when the model is loaded: a bad default is the folder's fault and not a request's.</summary>
    /// <exception cref="EngineException">A value is outside of its range (<see cref="EngineErrorKind.ModelFolder"/>).</exception>
    public void Check()
    {
        Check("temperature", Temperature, SamplingRules.IsTemperature, SamplingRules.TemperatureRange);
        Check("top_p", TopP, SamplingRules.IsTopP, SamplingRules.TopPRange);
        Check("top_k", TopK, value => SamplingRules.IsTopK((int)value), SamplingRules.TopKRange);
        Check("min_p", MinP, SamplingRules.IsMinP, SamplingRules.MinPRange);
        Check("repetition_penalty", RepetitionPenalty, SamplingRules.IsRepetitionPenalty, SamplingRules.RepetitionPenaltyRange);
        Check("max_new_tokens", MaxNewTokens, value => value >= 1, SamplingRules.MaxTokensRange);
    }

    private static void Check(string field, double? given, Func<double, bool> isAllowed, string allowed)
    {
        if (given is { } value && !isAllowed(value))
            throw EngineException.ModelFolder(File, $"{field}: given {value.ToString("R", CultureInfo.InvariantCulture)}, allowed {allowed}");
    }
}
