namespace LocalLlm.Sampling;

/// <summary>
/// The range of each sampling field, as a predicate and as words. Each predicate states what is allowed, never what is not:
/// a comparison with NaN is false, so NaN is refused everywhere (CVE-2026-54235 was a check written the other way round).
/// </summary>
internal static class SamplingRules
{
    public const string TemperatureRange = "0 to 2 (0 is greedy)";
    public const string TopPRange = "above 0, at most 1 (1 is off)";
    public const string TopKRange = "1 or more, or 0 or -1 for off";
    public const string MinPRange = "0 to 1 (0 is off)";
    public const string PenaltyRange = "-2 to 2";
    public const string RepetitionPenaltyRange = "a finite float32 above 0 (1 is off)";
    public const string MaxTokensRange = "1 or more";

    public const int MaxStopStrings = 64;
    public const int MaxStopStringLength = 4096;
    public const int MaxBadWords = 128;
    public const int MaxBadWordLength = 4096;
    public const int MaxBadWordTokens = 4096;
    public const double MinTemperature = 0.01;
    public const double MaxLogitBias = 100;
    public const int DefaultMaxTokens = 16;

    public static bool IsTemperature(double value) => value is >= 0 and <= 2;

    public static bool IsTopP(double value) => value is > 0 and <= 1;

    public static bool IsTopK(int value) => value >= -1;

    public static bool IsMinP(double value) => value is >= 0 and <= 1;

    public static bool IsPenalty(double value) => value is >= -2 and <= 2;

    /// <summary>Logits are float32: a divisor that is 0 or infinite there would turn a zero logit into NaN.</summary>
    public static bool IsRepetitionPenalty(double value) => float.IsNormal((float)value) && value > 0;
}
